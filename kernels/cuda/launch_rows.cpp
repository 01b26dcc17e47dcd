#include "base/error.hpp"

#include <cstdint>

namespace gpas::cuda {

[[noreturn]] void row_too_wide(std::int64_t columns);

void row_too_wide(std::int64_t columns) {
    fail(ExitCode::internal, "a row of {} elements is more than a block of threads holds", columns);
}

}  // namespace gpas::cuda
