// Turns a dtype that is known at run time into a type that is known at compile time. Called once per operation.
#pragma once

#include "base/error.hpp"
#include "kernels/tensor.hpp"

#include <type_traits>

namespace gpas::cpu {

// Calls body(std::type_identity<T>{}) with T = float or bf16. Error(internal) for other dtypes.
template <class Body>
void visit_float(Dtype dtype, Body&& body) {
    if (dtype == Dtype::fp32)
        body(std::type_identity<float>{});
    else if (dtype == Dtype::bf16)
        body(std::type_identity<bf16>{});
    else
        fail(ExitCode::internal, "a floating-point tensor was expected, not {}", dtype_name(dtype));
}

}  // namespace gpas::cpu
