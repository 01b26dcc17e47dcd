// Causal attention on the CPU in tiles of queries and keys; contracts in kernels/ops.hpp.
#pragma once

#include "kernels/ops.hpp"

namespace gpas::cpu {

void attention(Context&, Tensor o, Tensor lse, Tensor qkv, AttentionShape shape, Tensor segment_begin);
void attention_backward(Context&, Tensor dqkv, Tensor d_o, Tensor o, Tensor lse, Tensor qkv, AttentionShape shape,
                        Tensor segment_begin);
std::int64_t attention_scratch_bytes(AttentionShape shape, int threads);

}  // namespace gpas::cpu
