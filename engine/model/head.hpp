// LM head and cross entropy in chunks of tokens: full logits never exist.
#pragma once

#include "kernels/arena.hpp"
#include "kernels/ops.hpp"

namespace gpas {

class Head {
public:
    // w [V,C], dw [V,C] fp32 (unused without training)
    Head(Tensor w, Tensor dw, std::int64_t tokens, bool training, Arena& arena);

    // Σ of the tokens' losses, -log softmax(n wᵀ)[label]    n [T,C]   labels [T] int32, -1: not in the loss
    double loss(Context& context, Tensor n, Tensor labels);
    // The same, and the gradients of factor times that sum:  dn = …;  dw += …
    double loss_and_backward(Context& context, Tensor dn, Tensor n, Tensor labels, float factor);
    // logits = n wᵀ             logits [rows,V] fp32
    void logits(Context& context, Tensor logits, Tensor n);

private:
    double chunk_forward(Context& context, Tensor logits, Tensor stats, Tensor n, Tensor labels);

    Tensor w_, dw_;
    std::int64_t chunk_;  // tokens
    Tensor logits_;       // [chunk, V] fp32
    Tensor stats_;        // [chunk, 3] fp32
    Tensor dlogits_;      // [chunk, V]: the logits themselves in fp32 runs
};

}  // namespace gpas
