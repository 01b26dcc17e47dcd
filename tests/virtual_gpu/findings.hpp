// The errors that virtual GPUs have found in the program under test.
#pragma once

#include <string>
#include <vector>

namespace gpas::virtual_gpu {

// Prints the finding to stderr; a text that was printed before is not printed again. If findings remain when the
// process exits, its exit code is findings_exit_code. Thread-safe.
void report(const std::string& finding);
// Returns and clears the findings: for tests that plant mistakes. Thread-safe.
std::vector<std::string> take_findings();

inline constexpr int findings_exit_code = 66;

}  // namespace gpas::virtual_gpu
