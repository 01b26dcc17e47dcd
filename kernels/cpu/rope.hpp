// CPU backend of the rotary position embedding. Contracts: kernels/ops.hpp.
#pragma once

#include "kernels/ops.hpp"

namespace gpas::cpu {

void rope_table(Context&, Tensor cos, Tensor sin, const RopeFrequencies& frequencies);
void rope(Context&, Tensor qkv, AttentionShape shape, Tensor cos, Tensor sin, bool inverse);

}  // namespace gpas::cpu
