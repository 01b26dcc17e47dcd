// CPU backend of the cross entropy. Contracts: kernels/ops.hpp.
#pragma once

#include "kernels/ops.hpp"

namespace gpas::cpu {

void cross_entropy_stats(Context&, Tensor stats, Tensor logits, Tensor labels, std::int64_t first_column);
void cross_entropy_combine(Context&, Tensor stats, Tensor parts);
void cross_entropy_loss(Context&, Tensor sum, Tensor stats, Tensor labels);
void cross_entropy_backward(Context&, Tensor dlogits, Tensor logits, Tensor stats, Tensor labels,
                            std::int64_t first_column, float factor);

}  // namespace gpas::cpu
