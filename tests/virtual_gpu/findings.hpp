// What the virtual GPUs found wrong with the program that runs on them.
#pragma once

#include <string>
#include <vector>

namespace gpas::virtual_gpu {

// Prints the finding to stderr, once per text. If findings are left when the process exits, its exit code is 66.
// Thread-safe.
void report(const std::string& finding);
// The findings so far, which are then forgotten: for tests that plant mistakes. Thread-safe.
std::vector<std::string> take_findings();

inline constexpr int findings_exit_code = 66;

}  // namespace gpas::virtual_gpu
