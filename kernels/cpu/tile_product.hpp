// Small fp32 matrix products on packed tiles, for attention: c = a b or c += a b. Rows of b and c are contiguous and
// consist of whole vectors (vector_math.hpp).
#pragma once

#include "kernels/cpu/vector_math.hpp"

#include <cstdint>

namespace gpas::cpu {

// Element a(i, k) is at data + i · row_stride + k · column_stride, so a transposed tile needs no copy.
struct TileA {
    const float* data;
    std::int64_t row_stride;
    std::int64_t column_stride;
};

// c [Rows, 16 · Vectors] = a b, or += if accumulate. The block of c stays in registers over the whole depth.
template <int Rows, int Vectors>
void tile_kernel(float* c, std::int64_t c_stride, TileA a, const float* b, std::int64_t b_stride, std::int64_t depth,
                 bool accumulate) {
    Vec sum[Rows][Vectors];
    for (int i = 0; i < Rows; ++i)
        for (int v = 0; v < Vectors; ++v) sum[i][v] = accumulate ? load(c + i * c_stride + v * lanes) : Vec{};
    for (std::int64_t k = 0; k < depth; ++k) {
        Vec right[Vectors];
        for (int v = 0; v < Vectors; ++v) right[v] = load(b + k * b_stride + v * lanes);
        for (int i = 0; i < Rows; ++i) {
            const float left = a.data[i * a.row_stride + k * a.column_stride];
            for (int v = 0; v < Vectors; ++v) sum[i][v] += left * right[v];
        }
    }
    for (int i = 0; i < Rows; ++i)
        for (int v = 0; v < Vectors; ++v) store(c + i * c_stride + v * lanes, sum[i][v]);
}

template <int Vectors>
void tile_rows(float* c, std::int64_t c_stride, TileA a, const float* b, std::int64_t b_stride, std::int64_t rows,
               std::int64_t depth, bool accumulate) {
    for (std::int64_t i = 0; i < rows; i += 4)
        tile_kernel<4, Vectors>(c + i * c_stride, c_stride, {a.data + i * a.row_stride, a.row_stride, a.column_stride},
                                b, b_stride, depth, accumulate);
}

// c = a b, or c += a b if accumulate.  c [rows, columns]   a [rows, depth]   b [depth, columns]
// rows is a multiple of 4, columns of 16.
inline void tile_product(float* c, std::int64_t c_stride, TileA a, const float* b, std::int64_t b_stride,
                         std::int64_t rows, std::int64_t columns, std::int64_t depth, bool accumulate) {
    std::int64_t j = 0;
    for (; j + 4 * lanes <= columns; j += 4 * lanes)
        tile_rows<4>(c + j, c_stride, a, b + j, b_stride, rows, depth, accumulate);
    for (; j + 2 * lanes <= columns; j += 2 * lanes)
        tile_rows<2>(c + j, c_stride, a, b + j, b_stride, rows, depth, accumulate);
    for (; j < columns; j += lanes) tile_rows<1>(c + j, c_stride, a, b + j, b_stride, rows, depth, accumulate);
}

}  // namespace gpas::cpu
