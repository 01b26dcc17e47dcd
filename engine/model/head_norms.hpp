// QK-norm of one layer: RMSNorm of queries and keys between the product with Wqkv and RoPE (kernels/qk_norm.hpp).
#pragma once

#include "engine/model/workspace.hpp"
#include "kernels/qk_norm.hpp"

namespace gpas {

class HeadNorms {
public:
    // prefix: "layers.3.attention.". Keeps views into `store`. If the model has no QK-norm, forward and backward do
    // nothing.
    HeadNorms(const ModelConfig& model, const std::string& prefix, const ModelShape& shape, ParameterStore& store,
              Arena& saved);

    // qkv [rows, qkv columns]: its queries and keys x become N(x). Up to T rows.
    void forward(const LayerContext& shared, Tensor qkv);
    // dqkv [T, qkv columns]: the gradients of N(x) become those of x. Gradients of the norms' weights +=.
    void backward(const LayerContext& shared, Tensor dqkv);

private:
    QkNorm norm_;
    Tensor dquery_, dkey_;  // fp32; absent without training
    Tensor raw_;            // [T, columns of queries and keys] x; absent without training
    Tensor squares_;        // [T, spans] fp32, Σ x²; absent without QK-norm
};

}  // namespace gpas
