// CPU backend of AdamW and of the operations on all elements of tensors of any shape. Contracts: kernels/ops.hpp.
#pragma once

#include "kernels/ops.hpp"

namespace gpas::cpu {

void adamw(Context&, std::span<const AdamwPiece> pieces, const AdamwStep& step);
void squared_norm(Context&, Tensor sum, std::span<const Tensor> xs);
std::int64_t first_non_finite(Context&, Tensor x);
std::uint64_t fingerprint(Context&, Tensor x);
void cast(Context&, Tensor y, Tensor x);
void fill(Context&, Tensor x, float value);
void scale(Context&, Tensor y, float factor);
void fill_normal(Context&, Tensor x, std::uint64_t key, std::int64_t first_element, float stddev);
// Upper bound of what these operations take from context.scratch().
std::int64_t flat_scratch_bytes();

}  // namespace gpas::cpu
