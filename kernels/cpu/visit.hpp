// From a dtype known at run time to a type known at compile time, once at an operation's entry.
#pragma once

#include "base/error.hpp"
#include "kernels/tensor.hpp"

#include <type_traits>

namespace gpas::cpu {

// body(std::type_identity<float or bf16>)
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
