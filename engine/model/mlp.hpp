// The feed-forward sub-layer: b = (silu(n Wgateᵀ) ⊙ n Wupᵀ) Wdownᵀ.
#pragma once

#include "engine/model/parameters.hpp"
#include "kernels/ops.hpp"

namespace gpas {

struct MlpBuffers {
    Tensor act;  // [T,F]
};

class Mlp {
public:
    Mlp(const ModelConfig& model, std::int64_t layer, std::int64_t tokens, ParameterStore& store, Dtype dtype,
        Arena& arena);

    // b = Mlp(n)                b, n [T,C]
    void forward(Context& context, Tensor b, Tensor n, const MlpBuffers& buffers);
    // weight gradients +=;  dn = gradient of n      n: the same as in forward. Once a forward: it uses up what was
    // saved.
    void backward(Context& context, Tensor dn, Tensor db, Tensor n, const MlpBuffers& buffers);

private:
    struct Weights {
        Tensor gate_up, down;
    };
    Weights w_, dw_;
    Tensor gate_up_;  // [T,2F] = [gate | up]; swiglu (again), swiglu_backward
};

}  // namespace gpas
