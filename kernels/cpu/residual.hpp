// CPU backend of the operations on the residual stream. Contracts: kernels/ops.hpp.
#pragma once

#include "kernels/ops.hpp"

namespace gpas::cpu {

// replay: rmsnorm_replay() of ops.hpp
void rmsnorm(Context&, Tensor n, Tensor rstd, Stream h, Norm norm, bool replay);
// residual_rmsnorm() of ops.hpp; with n absent, residual()
void residual(Context&, Tensor x2, Tensor n, Tensor rstd, Residual r, Stream h, Tensor b, Gate out, Norm norm);
void rmsnorm_backward(Context&, Tensor d, Tensor dw, GateGradients dgate, Tensor dn, Residual r, Stream h, Tensor rstd,
                      Norm norm);
void residual_backward(Context&, Tensor d, GateGradients dgate, Tensor db, Residual r, Stream h);
void apply_gate(Context&, Tensor y, Stream h);
Moments moments(Context&, Stream h);

}  // namespace gpas::cpu
