// Elementwise kernels: which width of access a tensor allows, and how many blocks its elements need.
#pragma once

#include "kernels/cuda/launch_rows.hpp"

#include <type_traits>

namespace gpas::cuda {

inline constexpr int flat_threads = 256;

template <class F>
void visit_width(Dtype dtype, bool vectors, F&& f) {
    if (dtype == Dtype::bf16) {
        if (vectors) return f(bf16(), std::integral_constant<int, 8>());
        return f(bf16(), std::integral_constant<int, 1>());
    }
    if (vectors) return f(float(), std::integral_constant<int, 4>());
    return f(float(), std::integral_constant<int, 1>());
}

// f(T{}, std::integral_constant<int, V>): 16 bytes at a time where the tensors allow it.
template <class F>
void visit_flat(const Tensor& x, bool aligned, F&& f) {
    visit_width(x.dtype, aligned && x.elements() * bytes_per_element(x.dtype) % 16 == 0, f);
}

// One thread for each V elements.
inline unsigned blocks_of(std::int64_t elements, int v) {
    const std::int64_t a_block = std::int64_t(flat_threads) * v;
    return unsigned((elements + a_block - 1) / a_block);
}
// The first element of this thread.
GPAS_DEVICE std::int64_t flat_index(int v) { return (std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * v; }

}  // namespace gpas::cuda
