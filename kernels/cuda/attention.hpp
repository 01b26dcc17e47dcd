// Causal attention on a GPU in tiles of queries and keys; contracts in kernels/ops.hpp.
#pragma once

#include "kernels/ops.hpp"

#include <string>

namespace gpas::cuda {

void attention(Context&, Tensor o, Tensor lse, Tensor qkv, AttentionShape shape, Tensor segment_begin);
void attention_backward(Context&, Tensor dqkv, Tensor d_o, Tensor o, Tensor lse, Tensor qkv, AttentionShape shape,
                        Tensor segment_begin);
// Why this shape cannot run; empty: it can.
std::string attention_refusal(AttentionShape shape);

}  // namespace gpas::cuda
