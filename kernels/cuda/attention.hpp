// CUDA backend of causal attention, in tiles of queries and keys. Contracts: kernels/ops.hpp.
#pragma once

#include "kernels/ops.hpp"

#include <string>

namespace gpas::cuda {

void attention(Context&, Tensor o, Tensor lse, Tensor qkv, AttentionShape shape, Tensor segment_begin);
void attention_backward(Context&, Tensor dqkv, Tensor d_o, Tensor o, Tensor lse, Tensor qkv, AttentionShape shape,
                        Tensor segment_begin);
// The reason why the CUDA kernels cannot run this shape; empty if they can.
std::string attention_refusal(AttentionShape shape);

}  // namespace gpas::cuda
