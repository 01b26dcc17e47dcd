// Shape checks at the entry of operations. An error message names the operation and all tensors:
// `rmsnorm: n is fp32[4,8], …`.
#pragma once

#include "base/error.hpp"
#include "kernels/tensor.hpp"

#include <initializer_list>
#include <string>

namespace gpas {

struct NamedTensor {
    const char* name;
    const Tensor& tensor;
};

inline std::string describe(std::initializer_list<NamedTensor> tensors) {
    std::string text;
    for (const auto& [name, tensor] : tensors)
        text += fmt::format("{}{} is {}", text.empty() ? "" : ", ", name, tensor ? tensor.describe() : "absent");
    return text;
}

// Error(internal) if not ok.
inline void check_shapes(bool ok, const char* operation, std::initializer_list<NamedTensor> tensors) {
    if (!ok) fail(ExitCode::internal, "{}: {}", operation, describe(tensors));
}

// a and b have the same dtype, and the same rows and columns as matrices (Tensor::rows()).
inline bool same(const Tensor& a, const Tensor& b) {
    return a && b && a.dtype == b.dtype && a.columns() == b.columns() && a.elements() == b.elements();
}
// statistic is fp32 and has one element per row of x.
inline bool one_per_row(const Tensor& statistic, const Tensor& x) {
    return statistic && statistic.dtype == Dtype::fp32 && statistic.elements() == x.rows();
}
// w has one element of `dtype` per column of x.
inline bool is_row(const Tensor& w, const Tensor& x, Dtype dtype) {
    return w && w.dtype == dtype && w.elements() == x.columns();
}
inline bool is_fp32(const Tensor& x) { return x && x.dtype == Dtype::fp32; }
// x is fp64 [1]: a sum that the host reads later.
inline bool is_sum(const Tensor& x) { return x && x.dtype == Dtype::fp64 && x.elements() == 1; }
inline bool is_floating(const Tensor& x) { return x && (x.dtype == Dtype::fp32 || x.dtype == Dtype::bf16); }

}  // namespace gpas
