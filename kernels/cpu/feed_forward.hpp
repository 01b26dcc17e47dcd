// CPU backend of embedding and SwiGLU. Contracts: kernels/ops.hpp.
#pragma once

#include "kernels/ops.hpp"

namespace gpas::cpu {

void embedding(Context&, Tensor h, Tensor w, Tensor ids, std::int64_t first_row);
void embedding_backward(Context&, Tensor dw, Tensor dh, Tensor ids, std::int64_t first_row);
void swiglu(Context&, Tensor act, Tensor gate_up);
void swiglu_backward(Context&, Tensor dgate_up, Tensor dact, Tensor gate_up);

}  // namespace gpas::cpu
