// LM head and cross entropy in chunks of tokens, so that the logits of all tokens never exist at once. Tensor parallel:
// each rank has V' rows of the vocabulary, and ranks exchange three fp32 numbers per token (softmax statistics).
#pragma once

#include "engine/model/workspace.hpp"

namespace gpas {

class Head {
public:
    // Keeps views into `store`, which holds the head's weights (the embedding's if the two are tied).
    Head(const ModelConfig& model, const ModelShape& shape, ParameterStore& store);

    // work.loss [1] fp64 += Σ over tokens of -log softmax(n wᵀ)[label], the same on every tensor-parallel rank
    // n [R,C]   labels [T] int32, -1: not in the loss   token_losses [T] fp64 = the terms of Σ, 0 for label -1; absent:
    // not written
    void loss(const LayerContext& shared, Tensor n, Tensor labels, Tensor token_losses = {});
    // The same loss, and the gradients of factor · Σ:  dn = …;  dw += … (fp32)       dn [R,C] may be n
    void loss_and_backward(const LayerContext& shared, Tensor dn, Tensor n, Tensor labels, float factor);
    // logits = n wᵀ             logits [rows,V] fp32   n [rows,C]        Needs a tensor group of one rank.
    void logits(Context& context, Tensor logits, Tensor n);

private:
    void chunk_forward(const LayerContext& shared, Tensor n, Tensor labels);

    Tensor w_, dw_;           // [V', C]: this rank's rows
    std::int64_t first_row_;  // in the vocabulary, of this rank's rows
};

}  // namespace gpas
