// CUDA backend of the operations on the residual stream. Contracts: kernels/ops.hpp.
#pragma once

#include "kernels/ops.hpp"

namespace gpas::cuda {

// replay: rmsnorm_replay() of ops.hpp
void rmsnorm(Context&, Tensor n, Tensor rstd, ResidualStream h, Norm norm, bool replay);
// residual_rmsnorm() of ops.hpp; with n absent, residual()
void residual(Context&, Tensor x2, Tensor n, Tensor rstd, Residual r, ResidualStream h, Tensor b, Gate out, Norm norm);
void rmsnorm_backward(Context&, Tensor d, Tensor dw, GateGradients dgate, Tensor dn, Residual r, ResidualStream h,
                      Tensor rstd, Norm norm);
void residual_backward(Context&, Tensor d, GateGradients dgate, Tensor db, Residual r, ResidualStream h);
void apply_gate(Context&, Tensor y, ResidualStream h);
Moments moments(Context&, ResidualStream h);
// The largest number of columns that the norms support; larger if a row of `columns` is a whole number of 16 bytes.
std::int64_t widest_row(Dtype dtype, std::int64_t columns);

}  // namespace gpas::cuda
