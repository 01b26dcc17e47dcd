// RMSNorm of queries and keys before RoPE (QK-norm). Conventions: kernels/ops.hpp.
//
// A span is what one norm covers. Qwen3: each query head and each key head is a span. OLMo 2: all query heads of the
// model are one span, and all key heads are one; under tensor parallelism each rank has a part of these two spans, so
// the sums over a span are added up over the ranks between two operations.
// A row of `raw` holds this rank's query heads, then its key heads: Q = (heads + kv_heads) · head_dim columns.
// S: this rank's spans per row: heads + kv_heads (query heads, then key heads), or 2 (queries, keys).
//   n = w ⊙ x · rstd,  rstd = 1/√(Σ x² / N + eps) over the N elements of the span
#pragma once

#include "kernels/ops.hpp"

namespace gpas {

struct QkNorm {
    AttentionShape attention;  // of this rank
    bool whole = false;        // true: two spans, over all heads of all ranks; false: a span per head
    int ranks = 1;             // ranks that the heads are distributed over
    float eps = 1e-6F;
    // Weights of the queries and of the keys: head_dim elements each, or with `whole` heads · head_dim and
    // kv_heads · head_dim elements.
    Tensor query = {}, key = {};

    std::int64_t columns() const { return (attention.heads + attention.kv_heads) * attention.head_dim; }
    std::int64_t spans() const { return whole ? 2 : attention.heads + attention.kv_heads; }
    // N of a span of queries or of keys, on all ranks together.
    std::int64_t elements(bool queries) const {
        return !whole ? attention.head_dim
                      : (queries ? attention.heads : attention.kv_heads) * attention.head_dim * ranks;
    }
};

// squares = Σ x² over this rank's part of each span      squares [T,S] fp32   qkv [T, qkv_columns] before RoPE
void qk_squares(Context&, Tensor squares, Tensor qkv, const QkNorm& norm);
// raw = the queries and keys of qkv; then the queries and keys of qkv = n. Values of qkv stay as they are.
// qkv [T, qkv_columns]   raw [T,Q]; absent: not written   squares [T,S] fp32: Σ x² over whole spans
void qk_norm(Context&, Tensor qkv, Tensor raw, Tensor squares, const QkNorm& norm);
// dots = Σ dn ⊙ w ⊙ x over this rank's part of each span      dots [T,S] fp32   dqkv [T, qkv_columns]: its queries and
// keys are dn   raw [T,Q]: x
void qk_dots(Context&, Tensor dots, Tensor dqkv, Tensor raw, const QkNorm& norm);
// The queries and keys of dqkv: in dn, out dx. dw += Σ_t dn ⊙ x · rstd, over the heads too if heads share the weight.
struct QkNormBackwardArgs {
    Tensor dqkv;           // [T, qkv_columns]
    Tensor dquery, dkey;   // fp32, as many elements as norm.query and norm.key
    Tensor raw;            // [T,Q]: x
    Tensor squares, dots;  // [T,S] fp32: Σ x² and Σ dn ⊙ w ⊙ x over whole spans
    QkNorm norm;
};
void qk_norm_backward(Context&, const QkNormBackwardArgs&);

}  // namespace gpas
