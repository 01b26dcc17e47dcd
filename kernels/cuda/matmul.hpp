// The choice of cuBLASLt's algorithms for the matrix products of the CUDA backend.
#pragma once

#include "kernels/context.hpp"
#include "kernels/cuda/matmul_choices.hpp"

#include <span>
#include <string>
#include <vector>

namespace gpas::cuda {

// The machine that choices of algorithms are valid for, in one line: name of the GPU and version of cuBLASLt.
std::string matmul_machine(Context&);
// The fastest of cuBLASLt's proposals for each product, one choice per product in order, timed on random operands with
// a cold L2 cache. Allocates device memory for the operands of one product at a time and frees it, and waits for the
// device. Other work on the GPU would distort the timings: call it before ranks communicate through the GPU.
// Error(environment) if device memory is short or cuBLASLt has no algorithm.
std::vector<MatmulChoice> fastest_matmuls(Context&, std::span<const MatmulKey> products);
// From now on, products with these keys use these algorithms, and all other products use cuBLASLt's first proposal.
// The operations themselves never time anything.
void take_matmul_choices(Context&, MatmulChoices choices);

}  // namespace gpas::cuda
