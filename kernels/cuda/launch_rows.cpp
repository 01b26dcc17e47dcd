#include "kernels/error.hpp"

#include <cstdint>

namespace gpas::cuda {

[[noreturn]] void row_too_wide(std::int64_t columns);

void row_too_wide(std::int64_t columns) {
    fail(ExitCode::usage,
         "rows of {} elements are more than the CUDA kernels hold (16384 in bf16, 8192 in fp32, 6144 where the size is "
         "not a multiple of 8): choose another model.hidden_size, or device: cpu",
         columns);
}

}  // namespace gpas::cuda
