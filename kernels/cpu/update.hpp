// CPU backend of step_sums and decide_update. Contracts: kernels/ops.hpp.
#pragma once

#include "kernels/ops.hpp"

namespace gpas::cpu {

void step_sums(Tensor sums, Tensor own, Tensor loss, Tensor squares, const StepTerms& terms);
void decide_update(Tensor decision, Tensor sums, const UpdateRule& rule);

}  // namespace gpas::cpu
