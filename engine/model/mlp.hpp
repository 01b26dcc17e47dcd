// The feed-forward sub-layer: b = (silu(n Wgateᵀ) ⊙ n Wupᵀ) Wdownᵀ.
// Tensor parallel: a rank has its columns of gate and up, and those rows of down.
#pragma once

#include "engine/model/workspace.hpp"

namespace gpas {

class Mlp {
public:
    // saved: for what the forward pass leaves for backward; kept: for what backward leaves for the weight gradients.
    Mlp(const ModelConfig& model, std::int64_t layer, const ModelShape& shape, ParameterStore& store, Arena& saved,
        Arena& kept);

    // b = Mlp(n)                b, n [R,C]
    void forward(Context& context, const TensorParallel& tensor, Workspace& work, Tensor b, Tensor n);
    // The part of it that fills what backward reads.
    void forward_inner(Context& context, const TensorParallel& tensor, Workspace& work, Tensor n);
    // dn = gradient of n        Once a forward: it uses up what was saved.
    void backward_input(Context& context, const TensorParallel& tensor, Workspace& work, Tensor dn, Tensor db);
    // weight gradients +=       n: the same as in forward. Directly after backward_input with its db, or (where the
    // shape splits backward) later and with no db.
    void backward_weight(Context& context, const TensorParallel& tensor, Workspace& work, Tensor n, Tensor db);

private:
    struct Weights {
        Tensor gate_up, down;
    };
    struct Deferred {
        Tensor db;   // [R,C]; matmul_dw of down
        Tensor act;  // [T,F]; matmul_dw of down
    };
    Weights w_, dw_;
    Tensor gate_up_;  // [T,2F] = [gate | up]; swiglu (again), swiglu_backward; then the gradient of it
    Deferred deferred_;
};

}  // namespace gpas
