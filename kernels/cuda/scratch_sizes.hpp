// Upper bounds of what the CUDA operations take from context.scratch(), and the constants behind them. This header
// needs no CUDA toolkit, because every build can plan CUDA runs.
#pragma once

#include "kernels/ops.hpp"

#include <algorithm>

namespace gpas::cuda {

// Largest numbers of blocks of kernels that sum over rows or over a whole tensor. They do not depend on the GPU, so
// that sums have the same order on every GPU.
inline constexpr std::int64_t most_row_blocks = 1056;
inline constexpr std::int64_t most_flat_blocks = 1024;
inline constexpr int most_squared_tensors = 96;     // tensors per launch of squared_norm()
inline constexpr int most_blocks_per_tensor = 256;  // blocks per tensor of that launch

// Per block: a row of partial weight gradients (fp32) and the partial gradients of two gates (fp64).
inline std::int64_t stream_scratch_bytes(std::int64_t columns) {
    return most_row_blocks * (columns * std::int64_t(sizeof(float)) + 2 * std::int64_t(sizeof(double))) +
           2 * Arena::alignment_bytes;
}
inline std::int64_t flat_scratch_bytes() {
    return std::max<std::int64_t>(most_flat_blocks, most_squared_tensors * most_blocks_per_tensor) *
               std::int64_t(sizeof(double)) +
           Arena::alignment_bytes;
}
// attention_backward()'s delta: one fp32 per query and head.
inline std::int64_t attention_scratch_bytes(const AttentionShape& shape) {
    return shape.batch * shape.heads * shape.sequence * std::int64_t(sizeof(float)) + Arena::alignment_bytes;
}

}  // namespace gpas::cuda
