// CUDA side of the residual-stream operations; contracts in kernels/ops.hpp.
#pragma once

#include "kernels/ops.hpp"

namespace gpas::cuda {

void rmsnorm(Context&, Tensor n, Tensor rstd, Stream h, Norm norm, bool replay);
// n absent: the sum alone
void residual(Context&, Tensor x2, Tensor n, Tensor rstd, Residual r, Stream h, Tensor b, Gate out, Norm norm);
void rmsnorm_backward(Context&, Tensor d, Tensor dw, GateGradients dgate, Tensor dn, Residual r, Stream h, Tensor rstd,
                      Norm norm);
void residual_backward(Context&, Tensor d, GateGradients dgate, Tensor db, Residual r, Stream h);
void apply_gate(Context&, Tensor y, Stream h);
Moments moments(Context&, Stream h);
// Of the rows that norms take, at most; depends on whether the row is a whole number of 16 bytes.
std::int64_t widest_row(Dtype dtype, std::int64_t columns);

}  // namespace gpas::cuda
