// Matrix products on a GPU by cuBLASLt; contracts in kernels/ops.hpp.
#pragma once

#include "kernels/ops.hpp"

namespace gpas::cuda {

void matmul(Context&, Tensor y, Tensor x, Tensor w);
void matmul_dx(Context&, Tensor dx, Tensor dy, Tensor w);
void matmul_dw(Context&, Tensor dw, Tensor dy, Tensor x);

}  // namespace gpas::cuda
