// Launches of elementwise kernels: how many elements a thread loads at once, and how many blocks cover the tensor.
#pragma once

#include "kernels/cuda/launch_rows.hpp"
#include "kernels/cuda/scratch_sizes.hpp"

#include <algorithm>
#include <type_traits>

namespace gpas::cuda {

inline constexpr int flat_threads = 256;

// f(T{}, std::integral_constant<int, V>{}): T of `dtype`, V elements per access: 16 bytes if `vectors`, else 1 element.
template <class F>
void visit_width(Dtype dtype, bool vectors, F&& f) {
    if (dtype == Dtype::bf16) {
        if (vectors) return f(bf16(), std::integral_constant<int, 8>());
        return f(bf16(), std::integral_constant<int, 1>());
    }
    if (vectors) return f(float(), std::integral_constant<int, 4>());
    return f(float(), std::integral_constant<int, 1>());
}

// Whether a row of x is a whole number of 16 bytes.
inline bool whole_packs(const Tensor& x) { return x.columns() * bytes_per_element(x.dtype) % 16 == 0; }

// visit_width() with 16-byte accesses if all pointers are `aligned` to 16 bytes and x is a whole number of 16 bytes.
template <class F>
void visit_flat(const Tensor& x, bool aligned, F&& f) {
    visit_width(x.dtype, aligned && x.elements() * bytes_per_element(x.dtype) % 16 == 0, f);
}

// Blocks of flat_threads threads, one thread per v elements.
inline unsigned blocks_of(std::int64_t elements, int v) {
    const std::int64_t per_block = std::int64_t(flat_threads) * v;
    return unsigned((elements + per_block - 1) / per_block);
}
// Blocks of a kernel that sums over all elements, of which a thread loads v at once.
inline std::int64_t blocks_for_elements(std::int64_t elements, int v) {
    const std::int64_t per_block = std::int64_t(flat_threads) * v * 4;
    return std::clamp<std::int64_t>((elements + per_block - 1) / per_block, 1, most_row_blocks);
}
// Index of this thread's first element, at v elements per thread.
GPAS_DEVICE std::int64_t flat_index(int v) { return (std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * v; }

}  // namespace gpas::cuda
