// What the CUDA operations take from context.scratch(), and what that follows from: arithmetic that plans of CUDA runs
// need in every build.
#pragma once

#include "kernels/ops.hpp"

#include <algorithm>

namespace gpas::cuda {

// Blocks of a kernel that sums over rows or a whole tensor: fixed, so that sums are.
inline constexpr std::int64_t most_row_blocks = 1056;
inline constexpr std::int64_t most_flat_blocks = 1024;
inline constexpr int most_squared_tensors = 96;   // of a launch
inline constexpr int most_blocks_a_tensor = 256;  // of those

// A row of partial sums and two gates a block.
inline std::int64_t stream_scratch_bytes(std::int64_t columns) {
    return most_row_blocks * (columns * std::int64_t(sizeof(float)) + 2 * std::int64_t(sizeof(double))) +
           2 * Arena::alignment_bytes;
}
inline std::int64_t flat_scratch_bytes() {
    return std::max<std::int64_t>(most_flat_blocks, most_squared_tensors * most_blocks_a_tensor) *
               std::int64_t(sizeof(double)) +
           Arena::alignment_bytes;
}
// delta, one number a query and head
inline std::int64_t attention_scratch_bytes(const AttentionShape& shape) {
    return shape.batch * shape.heads * shape.sequence * std::int64_t(sizeof(float)) + Arena::alignment_bytes;
}

}  // namespace gpas::cuda
