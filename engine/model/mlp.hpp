// The feed-forward sub-layer (SwiGLU): b = (silu(gate) ⊙ up) Wdownᵀ + bdown, [gate | up] = n Wgate_upᵀ + bgate_up. The
// biases are optional.
// Tensor parallel: gate and up are column-parallel, down is row-parallel; each rank has F feed-forward columns.
// The layer's equations with all shapes: model.hpp.
#pragma once

#include "engine/model/linear.hpp"
#include "engine/model/workspace.hpp"

namespace gpas {

class Mlp {
public:
    // saved: arena of the activations from forward to backward_input; kept: arena of what backward_input stores for a
    // later backward_weight (used only if the shape splits backward).
    Mlp(const ModelConfig& model, std::int64_t layer, const ModelShape& shape, ParameterStore& store, Arena& saved,
        Arena& kept);

    // b = Mlp(n)                b, n [R,C], or fewer rows in a tensor group of one rank (see Model::extend)
    void forward(const LayerContext& shared, Tensor b, Tensor n);
    // The part of forward() that writes the saved activation gate_up (for recomputation).
    void forward_inner(const LayerContext& shared, Tensor n);
    // dn = gradient of n        dn, db [R,C]; db: gradient of b. Once per forward: it overwrites the saved gate_up.
    void backward_input(const LayerContext& shared, Tensor dn, Tensor db);
    // dWgate_up [2F,C], dWdown [C,F], dbgate_up [2F] and dbdown [C], fp32: +=. n [R,C]: the same bits as in forward.
    // Call it directly after backward_input, with the same db: work still holds the gathered db. If the shape splits
    // backward: at any later time, db absent.
    void backward_weight(const LayerContext& shared, Tensor n, Tensor db);

private:
    struct Deferred {
        Tensor db;   // [R,C]; read by matmul_dw of Wdown
        Tensor act;  // [T,F]; read by matmul_dw of Wdown
    };
    Linear gate_up_layer_, down_;
    std::int64_t token_rows_;
    Tensor gate_up_;     // [T,2F] = [gate | up]; backward_input overwrites it with its gradient
    Deferred deferred_;  // absent unless the shape splits backward
};

}  // namespace gpas
