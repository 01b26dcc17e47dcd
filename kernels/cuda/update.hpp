// CUDA backend of step_sums and decide_update. Contracts: kernels/ops.hpp.
#pragma once

#include "kernels/ops.hpp"

namespace gpas::cuda {

void step_sums(Context&, Tensor sums, Tensor own, Tensor loss, Tensor squares, const StepTerms& terms);
void decide_update(Context&, Tensor decision, Tensor sums, const UpdateRule& rule);

}  // namespace gpas::cuda
