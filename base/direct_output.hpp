// Output to stderr for a process that is about to end: a direct write, without std::cerr or a log queue.
#pragma once

#include <string_view>

namespace gpas {

// Writes `text` to stderr before it returns. Drops the rest if stderr accepts nothing for 0.5 s; never blocks for
// longer.
void write_stderr_now(std::string_view text);

}  // namespace gpas
