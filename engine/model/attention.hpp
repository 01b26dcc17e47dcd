// Causal self-attention with rotary positions and grouped queries: o = attention(rope(n Wqkvᵀ)); b = o Woutᵀ.
// Tensor parallel: a rank has whole KV groups; Wqkv is split by columns, Wout by rows.
#pragma once

#include "engine/model/workspace.hpp"

namespace gpas {

class Attention {
public:
    // saved: for what the forward pass leaves for backward; kept: for what backward leaves for the weight gradients.
    Attention(const ModelConfig& model, std::int64_t layer, const ModelShape& shape, ParameterStore& store,
              Arena& saved, Arena& kept);

    // b = Attention(n)          b, n [R,C]   segment_begin [T] int32 or absent
    void forward(Context& context, const TensorParallel& tensor, Workspace& work, Tensor b, Tensor n,
                 Tensor segment_begin);
    // The part of it that fills what backward reads.
    void forward_inner(Context& context, const TensorParallel& tensor, Workspace& work, Tensor n, Tensor segment_begin);
    // dn = gradient of n
    void backward_input(Context& context, const TensorParallel& tensor, Workspace& work, Tensor dn, Tensor db,
                        Tensor segment_begin);
    // weight gradients +=       n: the same as in forward. Directly after backward_input with its db, or (where the
    // shape splits backward) later and with no db.
    void backward_weight(Context& context, const TensorParallel& tensor, Workspace& work, Tensor n, Tensor db);

private:
    struct Weights {
        Tensor qkv, out;
    };
    struct Saved {
        Tensor qkv;  // [T, qkv columns] after RoPE; attention_backward
        Tensor o;    // [T, heads·head_dim]; matmul_dw of out, attention_backward
        Tensor lse;  // [batch·heads, sequence] fp32; attention_backward
    };
    struct Deferred {
        Tensor db;    // [R,C]; matmul_dw of out
        Tensor dqkv;  // [T, qkv columns]; matmul_dw of qkv
    };
    AttentionShape shape_;
    Weights w_, dw_;
    Saved saved_;
    Deferred deferred_;  // absent unless the shape splits backward
};

}  // namespace gpas
