// LM head and cross entropy in chunks of tokens: full logits never exist. Tensor parallel: a rank has its rows of the
// vocabulary, and three numbers a token travel.
#pragma once

#include "engine/model/workspace.hpp"

namespace gpas {

class Head {
public:
    // Views into `store`, which holds the head's weights (or the embedding's, where they are tied).
    Head(const ModelConfig& model, const ModelShape& shape, ParameterStore& store);

    // work.loss += Σ of the tokens' losses, -log softmax(n wᵀ)[label], the same on every rank    n [R,C]   labels [T]
    // int32, -1: not in the loss
    void loss(Context& context, const TensorParallel& tensor, Workspace& work, Tensor n, Tensor labels);
    // The same, and the gradients of factor times that sum:  dn = …;  dw += …       dn [R,C] may be n
    void loss_and_backward(Context& context, const TensorParallel& tensor, Workspace& work, Tensor dn, Tensor n,
                           Tensor labels, float factor);
    // logits = n wᵀ             logits [rows,V] fp32        In a group of one only.
    void logits(Context& context, Tensor logits, Tensor n);

private:
    void chunk_forward(Context& context, const TensorParallel& tensor, Workspace& work, Tensor n, Tensor labels);

    Tensor w_, dw_;           // [V', C]: this rank's rows
    std::int64_t first_row_;  // of the vocabulary
};

}  // namespace gpas
