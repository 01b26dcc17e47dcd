// CPU backend of causal attention, in tiles of queries and keys. Contracts: kernels/ops.hpp.
#pragma once

#include "kernels/ops.hpp"

namespace gpas::cpu {

void attention(Context&, Tensor o, Tensor lse, Tensor qkv, AttentionShape shape, Tensor segment_begin);
void attention_backward(Context&, Tensor dqkv, Tensor d_o, Tensor o, Tensor lse, Tensor qkv, AttentionShape shape,
                        Tensor segment_begin);
// Upper bound of what attention() and attention_backward() take from context.scratch(); 0 if shape.heads == 0.
std::int64_t attention_scratch_bytes(AttentionShape shape, int threads);

}  // namespace gpas::cpu
