// CUDA backend of AdamW and of the operations on all elements of tensors of any shape. Contracts: kernels/ops.hpp.
#pragma once

#include "kernels/ops.hpp"

namespace gpas::cuda {

void adamw(Context&, std::span<const AdamwPiece> pieces, const AdamwStep& step);
void squared_norm(Context&, Tensor sum, std::span<const Tensor> xs);
std::int64_t first_non_finite(Context&, Tensor x);
std::uint64_t fingerprint(Context&, Tensor x);
void cast(Context&, Tensor y, Tensor x);
void fill(Context&, Tensor x, float value);
void scale(Context&, Tensor y, float factor);

}  // namespace gpas::cuda
