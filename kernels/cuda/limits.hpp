// The shapes that the CUDA kernels support.
#pragma once

#include "kernels/ops.hpp"

#include <string>

namespace gpas::cuda {

// The reason why the attention kernels cannot run this shape; empty if they can.
std::string attention_refusal(AttentionShape shape);
// The largest number of columns that the norms support; larger if a row of `columns` is a whole number of 16 bytes.
std::int64_t widest_row(Dtype dtype, std::int64_t columns);

}  // namespace gpas::cuda
