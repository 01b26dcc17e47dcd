// Causal self-attention with rotary positions and grouped queries: o = attention(rope(n Wqkvᵀ)); b = o Woutᵀ.
#pragma once

#include "engine/model/parameters.hpp"
#include "kernels/ops.hpp"

namespace gpas {

// What every layer reads and none writes.
struct Rotary {
    Tensor cos, sin;  // [sequence, head_dim/2] fp32
};

struct AttentionBuffers {
    Tensor d_o;   // [T, heads·head_dim]
    Tensor dqkv;  // [T, qkv columns]
};

class Attention {
public:
    Attention(std::int64_t layer, AttentionShape shape, ParameterStore& store, Dtype dtype, Arena& arena);

    // b = Attention(n)          b, n [T,C]   segment_begin [T] int32 or absent
    void forward(Context& context, Tensor b, Tensor n, const Rotary& rotary, Tensor segment_begin);
    // weight gradients +=;  dn = gradient of n      n: the same as in forward
    void backward(Context& context, Tensor dn, Tensor db, Tensor n, const Rotary& rotary, Tensor segment_begin,
                  const AttentionBuffers& buffers);

private:
    struct Weights {
        Tensor qkv, out;
    };
    struct Saved {
        Tensor qkv;  // [T, qkv columns] after RoPE; attention_backward
        Tensor o;    // [T, heads·head_dim]; matmul_dw of out, attention_backward
        Tensor lse;  // [batch·heads, sequence] fp32; attention_backward
    };
    AttentionShape shape_;
    Weights w_, dw_;
    Saved saved_;
};

}  // namespace gpas
