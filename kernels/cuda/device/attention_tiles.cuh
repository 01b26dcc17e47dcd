// Attention on tensor cores: tiles of rows of D bf16 in shared memory, and the two kinds of product that attention
// consists of. "Stationary" rows belong to a block from start to end; "moving" tiles are loaded one after the other.
// The layouts of fragments are those of PTX's mma.m16n8k16 and ldmatrix (nvidia.cuh).
#pragma once

#include "kernels/cuda/device/attention_rows.cuh"

namespace gpas::cuda {

inline constexpr int tile_warps = 4;
inline constexpr int tile_threads = tile_warps * warp_size;
// A warp has row_groups<D> groups of 16 stationary rows. One read of the moving tile from shared memory serves all
// groups, so two groups are faster than one (measured, docs/results/gpu.md). Heads with D > 64 have one group, because
// registers do not suffice for two.
template <int D>
inline constexpr int row_groups = D <= 64 ? 2 : 1;
template <int D>
inline constexpr int warp_rows = 16 * row_groups<D>;
template <int D>
inline constexpr int tile_rows = tile_warps * warp_rows<D>;

// Elements from one row of a tile to the next: D of data and 8 (16 bytes) unused. Consecutive rows therefore begin in
// different banks, and the eight rows of an ldmatrix have no bank conflict.
//
//   row 0   | D bf16 … | 8 unused |
//   row 1   | D bf16 … | 8 unused |
template <int D>
inline constexpr int tile_pitch = D + 8;
template <int D>
constexpr std::int64_t tile_bytes(int rows) {
    return std::int64_t(rows) * tile_pitch<D> * 2;
}

// Starts copying rows [begin, begin + ROWS) of a head into a tile (cp.async, not committed); rows beyond the end of the
// sequence become 0. A power of two of threads copies a row, 16 bytes per thread, so each thread keeps its column. For
// D = 48 and 96 a quarter of the threads is idle.
template <int D, int ROWS>
GPAS_DEVICE void load_tile(bf16* tile, const bf16* from, std::int64_t stride, std::int64_t begin,
                           std::int64_t sequence) {
    constexpr int threads_per_row = D <= 64 ? 8 : 16;
    constexpr int rows_at_once = tile_threads / threads_per_row;
    static_assert(D % 8 == 0 && D <= 128 && ROWS % rows_at_once == 0);
    const int column = int(threadIdx.x % threads_per_row) * 8;
    const int row = int(threadIdx.x / threads_per_row);
    if (column >= D) return;
    const bf16* const source = from + (begin + row) * stride + column;
    bf16* const target = tile + row * tile_pitch<D> + column;
    const int rows_left = int(sequence - begin) - row;
#pragma unroll
    for (int i = 0; i < ROWS; i += rows_at_once)
        cp_async_16(target + i * tile_pitch<D>, source + i * stride, i < rows_left);
}

// Rows row … row + 15, columns column … column + 15 of a tile, as the left operand of a product.
template <int D>
GPAS_DEVICE FragmentA left_operand(const bf16* tile, int row, int column) {
    const int lane = int(threadIdx.x) % warp_size;
    return ldmatrix_x4(tile + (row + lane % 16) * tile_pitch<D> + column + lane / 16 * 8);
}

struct TwoB {
    FragmentB first, second;  // for columns 0 … 7 and 8 … 15 of the product
};
// The right operand of left · tileᵀ: rows row … row + 15 of the tile become columns of the product.
template <int D>
GPAS_DEVICE TwoB right_operand_of_rows(const bf16* tile, int row, int column) {
    const int lane = int(threadIdx.x) % warp_size;
    const FragmentA m =
        ldmatrix_x4(tile + (row + lane % 8 + lane / 16 * 8) * tile_pitch<D> + column + lane / 8 % 2 * 8);
    return {{{m.r[0], m.r[1]}}, {{m.r[2], m.r[3]}}};
}
// The right operand of left · tile: the product sums over rows row … row + 15 of the tile.
template <int D>
GPAS_DEVICE TwoB right_operand_of_columns(const bf16* tile, int row, int column) {
    const int lane = int(threadIdx.x) % warp_size;
    const FragmentA m = ldmatrix_x4_trans(tile + (row + lane % 16) * tile_pitch<D> + column + lane / 16 * 8);
    return {{{m.r[0], m.r[1]}}, {{m.r[2], m.r[3]}}};
}

// f(n, i) for every element i of the fragments n of 16 × N results.
template <int N, class F>
GPAS_DEVICE void for_elements(F&& f) {
    unrolled<N / 8>([&](int n) { unrolled<4>([&](int i) { f(n, i); }); });
}

// f(m, half) for the two rows that a lane has of each of M groups of 16 rows: half 0 of rows 0 … 7, half 1 of 8 … 15.
template <int M, class F>
GPAS_DEVICE void for_rows(F&& f) {
    unrolled<M>([&](int m) { unrolled<2>([&](int half) { f(m, half); }); });
}

// scores = left · tileᵀ: M groups of 16 × N. left(m, k): columns k … k + 15 of the rows of group m. tile: N rows of D.
template <int D, int M, int N, class Left>
GPAS_DEVICE void dot_rows(FragmentC (&scores)[M][N / 8], Left&& left, const bf16* tile) {
    unrolled<M>([&](int m) { unrolled<N / 8>([&](int n) { scores[m][n] = {}; }); });
    unrolled<D / 16>([&](int k) {
        FragmentA a[M];
        unrolled<M>([&](int m) { a[m] = left(m, k * 16); });
        unrolled<N / 16>([&](int n) {
            const TwoB b = right_operand_of_rows<D>(tile, n * 16, k * 16);
            unrolled<M>([&](int m) {
                mma_bf16(scores[m][2 * n], a[m], b.first);
                mma_bf16(scores[m][2 * n + 1], a[m], b.second);
            });
        });
    });
}

// 16 columns of fp32 results, rounded to bf16, as the left operand of the next product.
GPAS_DEVICE FragmentA rounded(const FragmentC& low, const FragmentC& high) {
    return {{pack_bf16(low.f[0], low.f[1]), pack_bf16(low.f[2], low.f[3]), pack_bf16(high.f[0], high.f[1]),
             pack_bf16(high.f[2], high.f[3])}};
}

// sum += weights · tile: M groups of 16 × D. weights: M groups of 16 × N, rounded to bf16. tile: N rows of D.
template <int D, int M, int N>
GPAS_DEVICE void add_weighted_rows(FragmentC (&sum)[M][D / 8], const FragmentC (&weights)[M][N / 8], const bf16* tile) {
    unrolled<N / 16>([&](int n) {
        FragmentA a[M];
        unrolled<M>([&](int m) { a[m] = rounded(weights[m][2 * n], weights[m][2 * n + 1]); });
        unrolled<D / 16>([&](int d) {
            const TwoB b = right_operand_of_columns<D>(tile, n * 16, d * 16);
            unrolled<M>([&](int m) {
                mma_bf16(sum[m][2 * d], a[m], b.first);
                mma_bf16(sum[m][2 * d + 1], a[m], b.second);
            });
        });
    });
}

// Row and column, in a 16-row product, of this lane's element i of fragment n (layout of FragmentC).
GPAS_DEVICE int fragment_row(int i) { return int(threadIdx.x) % warp_size / 4 + i / 2 * 8; }
GPAS_DEVICE int fragment_column(int n, int i) { return n * 8 + int(threadIdx.x) % 4 * 2 + i % 2; }

// Writes 16 rows of a warp to positions begin … begin + 15 of a head (=): factor_low · sum for rows 0 … 7 and
// factor_high · sum for rows 8 … 15, rounded to bf16. Each lane passes the factors of its own two rows. Positions
// beyond the end of the sequence are not written.
template <int D>
GPAS_DEVICE void store_rows(bf16* to, std::int64_t stride, const FragmentC (&sum)[D / 8], float factor_low,
                            float factor_high, std::int64_t begin, std::int64_t sequence) {
    unrolled<2>([&](int half) {
        const std::int64_t position = begin + fragment_row(half * 2);
        if (position >= sequence) return;
        const float factor = half == 0 ? factor_low : factor_high;
        unrolled<D / 8>([&](int n) {
            *reinterpret_cast<std::uint32_t*>(to + position * stride + fragment_column(n, 0)) =
                pack_bf16(sum[n].f[half * 2] * factor, sum[n].f[half * 2 + 1] * factor);
        });
    });
}

constexpr float log2_of_e = 1.44269504088896341F;
constexpr float ln_of_2 = 0.69314718055994531F;

}  // namespace gpas::cuda
