// A linear layer y = x wᵀ + bias as attention and MLP use it.
#pragma once

#include "engine/model/parameters.hpp"

namespace gpas {

// Views into the store. N outputs, K inputs of this rank.
struct Linear {
    Tensor w;          // [N,K] as the forward pass reads it
    Tensor bias;       // N elements; absent: no bias
    Tensor dw, dbias;  // fp32 gradients; absent without training
};
// The parameters name + ".weight" and, if the store has it, name + ".bias".
Linear linear(const ParameterStore& store, const std::string& name);

// Column-parallel: this rank has N of the outputs, and their biases.
// y = x wᵀ + bias        y [T,N]   x [T,K]
void column_product(Context& context, Tensor y, Tensor x, const Linear& layer);
// dw += dyᵀ x, dbias += Σ_t dy[t]        dy [T,N]   x [T,K]
void column_gradient(Context& context, const Linear& layer, Tensor dy, Tensor x);

// Row-parallel: each rank has K of the inputs, and all biases. The bias is added once, after the sum over the ranks.
// y += bias in the first token_rows rows (all rows if y has fewer); later rows are padding, which stays 0.  y [R,N]
void add_row_bias(Context& context, Tensor y, const Linear& layer, std::int64_t token_rows);
// dbias += Σ_t dy[t]        dy [R,N]: the rows between sub-layers
void row_bias_gradient(Context& context, const Linear& layer, Tensor dy);

}  // namespace gpas
