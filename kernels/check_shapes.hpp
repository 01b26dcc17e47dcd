// Shape checks at the entry of operations. A message names the operation and every tensor: `rmsnorm: n is fp32[4,8],
// …`.
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

inline void check_shapes(bool ok, const char* operation, std::initializer_list<NamedTensor> tensors) {
    if (!ok) fail(ExitCode::internal, "{}: {}", operation, describe(tensors));
}

// Rows, columns and dtype agree; dimensions beyond the last are all rows.
inline bool same(const Tensor& a, const Tensor& b) {
    return a && b && a.dtype == b.dtype && a.columns() == b.columns() && a.elements() == b.elements();
}
// fp32, one element for each row of x
inline bool one_per_row(const Tensor& statistic, const Tensor& x) {
    return statistic && statistic.dtype == Dtype::fp32 && statistic.elements() == x.rows();
}
inline bool is_row(const Tensor& w, const Tensor& x, Dtype dtype) {
    return w && w.dtype == dtype && w.elements() == x.columns();
}
inline bool is_fp32(const Tensor& x) { return x && x.dtype == Dtype::fp32; }
// The one place of a sum that the host reads later.
inline bool is_sum(const Tensor& x) { return x && x.dtype == Dtype::fp64 && x.elements() == 1; }
inline bool is_floating(const Tensor& x) { return x && (x.dtype == Dtype::fp32 || x.dtype == Dtype::bf16); }

}  // namespace gpas
