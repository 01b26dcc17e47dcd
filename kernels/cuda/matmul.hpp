// Matrix products on a GPU by cuBLASLt; contracts in kernels/ops.hpp.
#pragma once

#include "kernels/cuda/matmul_choices.hpp"
#include "kernels/ops.hpp"

#include <span>
#include <string>
#include <vector>

namespace gpas::cuda {

void matmul(Context&, Tensor y, Tensor x, Tensor w);
void matmul_dx(Context&, Tensor dx, Tensor dy, Tensor w);
void matmul_dw(Context&, Tensor dw, Tensor dy, Tensor x);

// What a choice of algorithms is good for, in one line: the GPU and the version of cuBLASLt.
std::string matmul_machine(Context&);
// The fastest of cuBLASLt's proposals for each product, timed on made-up operands with cold caches. Takes memory of the
// GPU for the operands of one product at a time and gives it back, waits for the device, and is disturbed by whatever
// else runs there: for a time before groups of ranks use the GPU. Error(environment) if memory is short or cuBLASLt has
// no algorithm.
std::vector<MatmulChoice> fastest_matmuls(Context&, std::span<const MatmulKey> products);
// From now on these products take these algorithms, and all others cuBLASLt's first proposal: nothing is ever timed
// when a product is computed.
void take_matmul_choices(Context&, MatmulChoices choices);

}  // namespace gpas::cuda
