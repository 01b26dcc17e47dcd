#pragma once

#include <cstdlib>

namespace gpas::test_support {

// Every combination (scripts/test --exhaustive), instead of those that share the least with each other.
inline bool exhaustive() { return std::getenv("GPAS_TEST_EXHAUSTIVE") != nullptr; }

}  // namespace gpas::test_support
