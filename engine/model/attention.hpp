// Causal self-attention with rotary positions and grouped queries (GQA): o = attention(rope(N(n Wqkvᵀ + bqkv)));
// b = o Woutᵀ + bout. The biases and N (QK-norm: HeadNorms) are optional.
// Tensor parallel: each rank has whole KV groups (query heads, key, value); Wqkv is column-parallel, Wout
// row-parallel. The layer's equations with all shapes: model.hpp.
#pragma once

#include "engine/model/head_norms.hpp"
#include "engine/model/linear.hpp"

namespace gpas {

class Attention {
public:
    // saved: arena of the activations from forward to backward_input; kept: arena of what backward_input stores for a
    // later backward_weight (used only if the shape splits backward).
    Attention(const ModelConfig& model, std::int64_t layer, const ModelShape& shape, ParameterStore& store,
              Arena& saved, Arena& kept);

    // b = Attention(n)          b, n [R,C]   segment_begin [T] int32 or absent
    void forward(const LayerContext& shared, Tensor b, Tensor n, Tensor segment_begin);
    // The part of forward() that writes the saved activations, without the product with Wout (for recomputation).
    void forward_inner(const LayerContext& shared, Tensor n, Tensor segment_begin);
    // The rows of forward() of the positions from `position` on, without documents. The keys and values of earlier
    // positions are those that the last forward passes saved.    b, n [positions · batch, C]; one position unless
    // `position` is 0. Needs activations that no other layer shares, and no sequence parallelism.
    void extend(const LayerContext& shared, Tensor b, Tensor n, std::int64_t position);
    // dn = gradient of n        dn, db [R,C]; db: gradient of b
    void backward_input(const LayerContext& shared, Tensor dn, Tensor db, Tensor segment_begin);
    // dWqkv [Q,C], dWout [C, heads·head_dim], dbqkv [Q] and dbout [C], fp32: +=. n [R,C]: the same bits as in forward.
    // Call it directly after backward_input, with the same db: work still holds the gathered db. If the shape splits
    // backward: at any later time, db absent.
    void backward_weight(const LayerContext& shared, Tensor n, Tensor db);

private:
    struct Saved {
        Tensor qkv;  // [T, qkv columns] after RoPE; read by attention_backward
        Tensor o;    // [T, heads·head_dim]; read by matmul_dw of Wout and by attention_backward
        Tensor lse;  // [batch·heads, sequence] fp32, log Σ exp of the scores; read by attention_backward
    };
    struct Deferred {
        Tensor db;    // [R,C]; read by matmul_dw of Wout
        Tensor dqkv;  // [T, qkv columns]; read by matmul_dw of Wqkv
    };
    AttentionShape shape_;
    Linear qkv_, out_;
    std::int64_t token_rows_;
    HeadNorms head_norms_;
    Saved saved_;
    Deferred deferred_;  // absent unless the shape splits backward
};

}  // namespace gpas
