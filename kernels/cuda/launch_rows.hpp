// Launches of kernels that hold a row per block: the layout of a row in registers (device/rows.cuh), chosen by dtype,
// row width and alignment.
#pragma once

#include "kernels/cuda/device/rows.cuh"

namespace gpas::cuda {

inline bool aligned_16(std::initializer_list<const void*> pointers) {
    for (const void* pointer : pointers)
        if (reinterpret_cast<std::uintptr_t>(pointer) % 16 != 0) return false;
    return true;
}

[[noreturn]] void row_too_wide(std::int64_t columns);  // Error(internal): checks before the run refuse such a width

inline constexpr int most_packs = 4;             // of 16 bytes per thread
inline constexpr int most_single_elements = 12;  // per thread, if a row is not a whole number of 16 bytes

// f(RowLayout<T, V, PACKS>{}) with the least of three numbers of packs per thread that holds a row.
template <class T, int V, int FEW, int SOME, int MANY, class F>
void visit_packs(std::int64_t columns, F&& f) {
    if (columns <= row_threads * V * FEW) return f(RowLayout<T, V, FEW>{});
    if (columns <= row_threads * V * SOME) return f(RowLayout<T, V, SOME>{});
    if (columns <= row_threads * V * MANY) return f(RowLayout<T, V, MANY>{});
    row_too_wide(columns);
}

// f(RowLayout<T, V, PACKS>{}): accesses of 16 bytes if pointers are aligned and rows are a whole number of 16 bytes,
// else of one element.
template <class F>
void visit_row_layout(Dtype dtype, std::int64_t columns, bool aligned, F&& f) {
    if (dtype == Dtype::bf16) {
        if (aligned && columns % 8 == 0) return visit_packs<bf16, 8, 1, 2, most_packs>(columns, f);
        return visit_packs<bf16, 1, 1, 4, most_single_elements>(columns, f);
    }
    if (aligned && columns % 4 == 0) return visit_packs<float, 4, 1, 2, most_packs>(columns, f);
    return visit_packs<float, 1, 1, 4, most_single_elements>(columns, f);
}

// Number of threads, in whole warps, of a block that holds a row of `columns`.
template <class L>
int threads_for_row(std::int64_t columns) {
    constexpr std::int64_t per_thread = std::int64_t(L::V) * L::PACKS;
    const std::int64_t threads = (columns + per_thread - 1) / per_thread;
    return int((threads + warp_size - 1) / warp_size * warp_size);
}

}  // namespace gpas::cuda
