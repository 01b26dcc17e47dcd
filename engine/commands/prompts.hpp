// Prompts of `gpas generate --prompts`.
#pragma once

#include <string>
#include <vector>

namespace gpas {

// The strings under "prompt" of a file of JSON lines; "-": of standard input. Empty lines are skipped.
// Error(bad_file), one line with file and line number, if the file cannot be read, a line is not an object with a
// string under "prompt", or the file has no prompt.
std::vector<std::string> read_prompts(const std::string& path);

}  // namespace gpas
