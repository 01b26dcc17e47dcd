// Matrix products on a GPU by cuBLASLt; contracts in kernels/ops.hpp.
#pragma once

#include "kernels/ops.hpp"

#include <string>

namespace gpas::cuda {

void matmul(Context&, Tensor y, Tensor x, Tensor w);
void matmul_dx(Context&, Tensor dx, Tensor dy, Tensor w);
void matmul_dw(Context&, Tensor dw, Tensor dy, Tensor x);

// Which of cuBLASLt's algorithms a product takes: its first proposal, or the fastest of the first few, timed when a
// shape is met for the first time. What was chosen is kept in `file` (empty: nowhere) and taken from there by the next
// run with the same GPU and library, so that it computes the same bits. A file that is not of that kind is started
// anew.
void measure_matmul_plans(Context&, const std::string& file);

}  // namespace gpas::cuda
