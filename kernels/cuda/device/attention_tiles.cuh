// Tiles of attention on tensor cores: rows of D bf16 in shared memory, and the two products that attention is made of.
// The Tensor Core layouts are PTX's (mma.m16n8k16, ldmatrix).
#pragma once

#include "kernels/cuda/device/attention_rows.cuh"

namespace gpas::cuda {

inline constexpr int tile_warps = 4;
inline constexpr int tile_threads = tile_warps * warp_size;
// Of the stationary side, a warp has groups of 16 rows. What it reads of the moving side from shared memory serves all
// of them: two groups measured faster than one (docs/results/gpu.md); wide heads leave no registers for two.
template <int D>
inline constexpr int row_groups = D <= 64 ? 2 : 1;
template <int D>
inline constexpr int warp_rows = 16 * row_groups<D>;
template <int D>
inline constexpr int tile_rows = tile_warps * warp_rows<D>;

// Rows are 16 bytes apart from a multiple of 128, so that the eight rows of an ldmatrix lie in different banks.
template <int D>
inline constexpr int tile_pitch = D + 8;
template <int D>
constexpr std::int64_t tile_bytes(int rows) {
    return std::int64_t(rows) * tile_pitch<D> * 2;
}

// Starts copying rows [begin, begin + ROWS) of a head; zeros beyond the end of the sequence. A row is for a power of
// two of threads, so that each keeps its column; with some D there are idle ones.
template <int D, int ROWS>
GPAS_DEVICE void load_tile(bf16* tile, const bf16* from, std::int64_t stride, std::int64_t begin,
                           std::int64_t sequence) {
    constexpr int threads_a_row = D <= 64 ? 8 : 16;
    constexpr int rows_at_once = tile_threads / threads_a_row;
    static_assert(D % 8 == 0 && D <= 128 && ROWS % rows_at_once == 0);
    const int column = int(threadIdx.x % threads_a_row) * 8;
    const int row = int(threadIdx.x / threads_a_row);
    if (column >= D) return;
    const bf16* const source = from + (begin + row) * stride + column;
    bf16* const target = tile + row * tile_pitch<D> + column;
    const int rows_left = int(sequence - begin) - row;
#pragma unroll
    for (int i = 0; i < ROWS; i += rows_at_once)
        cp_async_16(target + i * tile_pitch<D>, source + i * stride, i < rows_left);
}

// Rows row … row + 15, columns column … column + 15 as the left operand of a product.
template <int D>
GPAS_DEVICE FragmentA left_operand(const bf16* tile, int row, int column) {
    const int lane = int(threadIdx.x) % warp_size;
    return ldmatrix_x4(tile + (row + lane % 16) * tile_pitch<D> + column + lane / 16 * 8);
}

struct TwoB {
    FragmentB first, second;  // of eight columns of the product each
};
// The right operand of rows(left) · rows(tile)ᵀ: tile rows row … row + 15 become columns of the product.
template <int D>
GPAS_DEVICE TwoB right_operand_of_rows(const bf16* tile, int row, int column) {
    const int lane = int(threadIdx.x) % warp_size;
    const FragmentA m =
        ldmatrix_x4(tile + (row + lane % 8 + lane / 16 * 8) * tile_pitch<D> + column + lane / 8 % 2 * 8);
    return {{{m.r[0], m.r[1]}}, {{m.r[2], m.r[3]}}};
}
// The right operand of left · tile: tile rows row … row + 15 are summed over.
template <int D>
GPAS_DEVICE TwoB right_operand_of_columns(const bf16* tile, int row, int column) {
    const int lane = int(threadIdx.x) % warp_size;
    const FragmentA m = ldmatrix_x4_trans(tile + (row + lane % 16) * tile_pitch<D> + column + lane / 16 * 8);
    return {{{m.r[0], m.r[1]}}, {{m.r[2], m.r[3]}}};
}

// scores = left · tileᵀ, M groups of 16 × N: left(m, k) gives columns k … k + 15 of group m
template <int D, int M, int N, class Left>
GPAS_DEVICE void dot_rows(FragmentC (&scores)[M][N / 8], Left&& left, const bf16* tile) {
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
        for (int n = 0; n < N / 8; ++n) scores[m][n] = {};
#pragma unroll
    for (int k = 0; k < D; k += 16) {
        FragmentA a[M];
#pragma unroll
        for (int m = 0; m < M; ++m) a[m] = left(m, k);
#pragma unroll
        for (int n = 0; n < N; n += 16) {
            const TwoB b = right_operand_of_rows<D>(tile, n, k);
#pragma unroll
            for (int m = 0; m < M; ++m) {
                mma_bf16(scores[m][n / 8], a[m], b.first);
                mma_bf16(scores[m][n / 8 + 1], a[m], b.second);
            }
        }
    }
}

// The left operand of a product, of 16 columns rounded to bf16.
GPAS_DEVICE FragmentA rounded(const FragmentC& low, const FragmentC& high) {
    return {{pack_bf16(low.f[0], low.f[1]), pack_bf16(low.f[2], low.f[3]), pack_bf16(high.f[0], high.f[1]),
             pack_bf16(high.f[2], high.f[3])}};
}

// sum += weights · tile, M groups of 16 × D: weights are 16 × N, rounded to bf16
template <int D, int M, int N>
GPAS_DEVICE void add_weighted_rows(FragmentC (&sum)[M][D / 8], const FragmentC (&weights)[M][N / 8], const bf16* tile) {
#pragma unroll
    for (int n = 0; n < N; n += 16) {
        FragmentA a[M];
#pragma unroll
        for (int m = 0; m < M; ++m) a[m] = rounded(weights[m][n / 8], weights[m][n / 8 + 1]);
#pragma unroll
        for (int d = 0; d < D; d += 16) {
            const TwoB b = right_operand_of_columns<D>(tile, n, d);
#pragma unroll
            for (int m = 0; m < M; ++m) {
                mma_bf16(sum[m][d / 8], a[m], b.first);
                mma_bf16(sum[m][d / 8 + 1], a[m], b.second);
            }
        }
    }
}

// Where element i of fragment n of a 16-row product stands: FragmentC's layout.
GPAS_DEVICE int fragment_row(int i) { return int(threadIdx.x) % warp_size / 4 + i / 2 * 8; }
GPAS_DEVICE int fragment_column(int n, int i) { return n * 8 + int(threadIdx.x) % 4 * 2 + i % 2; }

// Writes factor(row of the fragment, 0 or 1) · sum as the warp's 16 rows, first row at position `begin`.
template <int D>
GPAS_DEVICE void store_rows(bf16* to, std::int64_t stride, const FragmentC (&sum)[D / 8], float factor_low,
                            float factor_high, std::int64_t begin, std::int64_t sequence) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const std::int64_t position = begin + fragment_row(half * 2);
        if (position >= sequence) continue;
        const float factor = half == 0 ? factor_low : factor_high;
#pragma unroll
        for (int n = 0; n < D / 8; ++n)
            *reinterpret_cast<std::uint32_t*>(to + position * stride + fragment_column(n, 0)) =
                pack_bf16(sum[n].f[half * 2] * factor, sum[n].f[half * 2 + 1] * factor);
    }
}

constexpr float log2_of_e = 1.44269504088896341F;
constexpr float ln_of_2 = 0.69314718055994531F;

}  // namespace gpas::cuda
