// Last words on stderr: past the stream and its queue, for a process that is about to end.
#pragma once

#include <string_view>

namespace gpas {

// Written when this returns, or dropped if stderr takes nothing for half a second. Never blocks for longer.
void write_stderr_now(std::string_view text);

}  // namespace gpas
