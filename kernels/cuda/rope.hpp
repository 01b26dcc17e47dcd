// CUDA backend of the rotary position embedding. Contract: kernels/ops.hpp.
#pragma once

#include "kernels/ops.hpp"

namespace gpas::cuda {

void rope(Context&, Tensor qkv, AttentionShape shape, Tensor cos, Tensor sin, bool inverse);

}  // namespace gpas::cuda
