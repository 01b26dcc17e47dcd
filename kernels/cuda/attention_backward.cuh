// Flash attention backward on tensor cores without atomics: one kernel has keys and values of a head at rest and goes
// over the queries (dk, dv), one has queries at rest and goes over the keys (dq). Each computes the weights again from
// lse, so that together they take 14 · D FLOPs a visible pair of positions and not 10; but every sum has one order.
//   p = exp(scale q·k - lse)   ds = p (do·v - delta), delta = do·o   dv = Σ p do   dk = scale Σ ds q   dq = scale Σ ds
//   k
// Speed on a GPU: see docs/results/ where it was measured.
#pragma once

#include "kernels/cuda/device/attention_tiles.cuh"

namespace gpas::cuda {

// Positions of the moving side at once: with wide heads fewer, so that everything stays in registers.
template <int D>
inline constexpr int backward_positions = D <= 64 ? 64 : 32;

template <int D>
constexpr std::int64_t backward_shared_bytes() {
    return 2 * tile_bytes<D>(tile_rows) + 4 * tile_bytes<D>(backward_positions<D>);
}

// lse, delta and first_seen of the queries of a tile; lse in units of log2 e.
template <int N>
struct QueryTerms {
    float* lse;
    float* delta;
    std::int32_t* first_seen;
};

template <int N>
GPAS_DEVICE void load_query_terms(const QueryTerms<N>& to, const float* lse, const float* delta,
                                  const std::int32_t* segment_begin, const AttentionShape& s, std::int64_t sample,
                                  std::int64_t statistics, std::int64_t begin) {
    for (int i = int(threadIdx.x); i < N; i += tile_threads) {
        const std::int64_t t = begin + i;
        const bool exists = t < s.sequence;
        to.lse[i] = exists ? lse[statistics + t] * log2_of_e : 0.0F;
        to.delta[i] = exists ? delta[statistics + t] : 0.0F;
        to.first_seen[i] = exists ? std::int32_t(first_seen(segment_begin, s, sample, t)) : 0x7fffffff;  // sees nothing
    }
}

// Keys at rest. scores and dp are transposed: a row of a fragment is a key, a column a query.
template <int D>
GPAS_KERNEL GPAS_MOST_THREADS(tile_threads)
    attention_dkv_kernel(bf16* dqkv, const bf16* d_o, const float* lse, const float* delta, const bf16* qkv,
                         AttentionShape s, const std::int32_t* segment_begin, float scale) {
    constexpr int N = backward_positions<D>;
    constexpr int tile = N * tile_pitch<D>;
    DYNAMIC_SHARED(shared);
    auto* const keys = reinterpret_cast<bf16*>(shared);
    bf16* const values = keys + tile_rows * tile_pitch<D>;
    bf16* const queries = values + tile_rows * tile_pitch<D>;  // two tiles
    bf16* const gradients = queries + 2 * tile;                // of o, two tiles
    SHARED_ARRAY(float, lse_terms, N);
    SHARED_ARRAY(float, delta_terms, N);
    SHARED_ARRAY(std::int32_t, seen_terms, N);
    const QueryTerms<N> terms{lse_terms, delta_terms, seen_terms};

    const std::int64_t of_group = s.heads / s.kv_heads;
    const std::int64_t sample = blockIdx.y / s.kv_heads;
    const std::int64_t first_head = blockIdx.y % s.kv_heads * of_group;
    const int first = int(blockIdx.x) * tile_rows;  // the first keys are seen by most queries
    const int warp_row = int(threadIdx.x) / warp_size * 16;
    const HeadRows own = head_rows(s, sample, first_head);
    load_tile<D, tile_rows>(keys, qkv + own.k, own.qkv_stride, first, s.sequence);
    load_tile<D, tile_rows>(values, qkv + own.v, own.qkv_stride, first, s.sequence);

    const int first_tile = first / N;
    const int tiles = (int(s.sequence) + N - 1) / N - first_tile;  // of each head
    const int turns = int(of_group) * tiles;
    const auto fetch = [&](int turn) {
        const HeadRows at = head_rows(s, sample, first_head + turn / tiles);
        const int begin = (first_tile + turn % tiles) * N;
        const int buffer = turn % 2 * tile;
        load_tile<D, N>(queries + buffer, qkv + at.q, at.qkv_stride, begin, s.sequence);
        load_tile<D, N>(gradients + buffer, d_o + at.o, at.o_stride, begin, s.sequence);
        cp_async_commit();
    };
    fetch(0);

    FragmentC dk[D / 8] = {};
    FragmentC dv[D / 8] = {};
    const float scale_log2 = scale * log2_of_e;
    for (int turn = 0; turn < turns; ++turn) {
        const HeadRows at = head_rows(s, sample, first_head + turn / tiles);
        const int begin = (first_tile + turn % tiles) * N;
        cp_async_wait<0>();
        __syncthreads();  // this turn's tiles have come; the terms and tiles of the turn before are done with
        load_query_terms<N>(terms, lse, delta, segment_begin, s, sample, at.statistics, begin);
        if (turn + 1 < turns) fetch(turn + 1);
        __syncthreads();
        const int buffer = turn % 2 * tile;
        FragmentC p[N / 8];
        dot_rows<D, N>(
            p, [&](int k) { return left_operand<D>(keys, warp_row, k); }, queries + buffer);
#pragma unroll
        for (int n = 0; n < N / 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int key = first + warp_row + fragment_row(i);
                const int column = fragment_column(n, i);
                const bool sees = key <= begin + column && terms.first_seen[column] <= key;
                p[n].f[i] = sees ? exp2_fast(p[n].f[i] * scale_log2 - terms.lse[column]) : 0.0F;
            }
        add_weighted_rows<D, N>(dv, p, gradients + buffer);
        FragmentC ds[N / 8];
        dot_rows<D, N>(
            ds, [&](int k) { return left_operand<D>(values, warp_row, k); }, gradients + buffer);
#pragma unroll
        for (int n = 0; n < N / 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) ds[n].f[i] = p[n].f[i] * (ds[n].f[i] - terms.delta[fragment_column(n, i)]);
        add_weighted_rows<D, N>(dk, ds, queries + buffer);
    }
    store_rows<D>(dqkv + own.k, own.qkv_stride, dk, scale, scale, first + warp_row, s.sequence);
    store_rows<D>(dqkv + own.v, own.qkv_stride, dv, 1.0F, 1.0F, first + warp_row, s.sequence);
}

// Queries at rest: a row of a fragment is a query, a column a key.
template <int D>
GPAS_KERNEL GPAS_MOST_THREADS(tile_threads)
    attention_dq_kernel(bf16* dqkv, const bf16* d_o, const float* lse, const float* delta, const bf16* qkv,
                        AttentionShape s, const std::int32_t* segment_begin, float scale) {
    constexpr int N = backward_positions<D>;
    constexpr int tile = N * tile_pitch<D>;
    DYNAMIC_SHARED(shared);
    auto* const queries = reinterpret_cast<bf16*>(shared);
    bf16* const gradients = queries + tile_rows * tile_pitch<D>;
    bf16* const keys = gradients + tile_rows * tile_pitch<D>;  // two tiles
    bf16* const values = keys + 2 * tile;

    const std::int64_t sample = blockIdx.y / s.heads;
    const HeadRows at = head_rows(s, sample, blockIdx.y % s.heads);
    const int first = int(gridDim.x - 1 - blockIdx.x) * tile_rows;  // those with most work first
    const int warp_row = int(threadIdx.x) / warp_size * 16;
    load_tile<D, tile_rows>(queries, qkv + at.q, at.qkv_stride, first, s.sequence);
    load_tile<D, tile_rows>(gradients, d_o + at.o, at.o_stride, first, s.sequence);

    float row_lse[2];
    float row_delta[2];
    int seen_from[2];
    int position[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        position[half] = first + warp_row + fragment_row(half * 2);
        const bool exists = position[half] < s.sequence;
        row_lse[half] = exists ? lse[at.statistics + position[half]] * log2_of_e : 0.0F;
        row_delta[half] = exists ? delta[at.statistics + position[half]] : 0.0F;
        seen_from[half] = exists ? first_seen(segment_begin, s, sample, position[half]) : int(s.sequence);
    }
    const int last = first + tile_rows < s.sequence ? first + tile_rows : int(s.sequence);
    const int tiles = (last + N - 1) / N;
    const auto fetch = [&](int j) {
        const int buffer = j % 2 * tile;
        load_tile<D, N>(keys + buffer, qkv + at.k, at.qkv_stride, j * N, s.sequence);
        load_tile<D, N>(values + buffer, qkv + at.v, at.qkv_stride, j * N, s.sequence);
        cp_async_commit();
    };
    fetch(0);

    FragmentC dq[D / 8] = {};
    const float scale_log2 = scale * log2_of_e;
    for (int j = 0; j < tiles; ++j) {
        cp_async_wait<0>();
        __syncthreads();  // tile j has come for all; tile j - 1 is done with by all
        if (j + 1 < tiles) fetch(j + 1);
        const int buffer = j % 2 * tile;
        FragmentC p[N / 8];
        FragmentC ds[N / 8];
        dot_rows<D, N>(
            p, [&](int k) { return left_operand<D>(queries, warp_row, k); }, keys + buffer);
        dot_rows<D, N>(
            ds, [&](int k) { return left_operand<D>(gradients, warp_row, k); }, values + buffer);
#pragma unroll
        for (int n = 0; n < N / 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int key = j * N + fragment_column(n, i);
                const bool sees = key <= position[i / 2] && seen_from[i / 2] <= key;
                const float weight = sees ? exp2_fast(p[n].f[i] * scale_log2 - row_lse[i / 2]) : 0.0F;
                ds[n].f[i] = weight * (ds[n].f[i] - row_delta[i / 2]);
            }
        add_weighted_rows<D, N>(dq, ds, keys + buffer);
    }
    store_rows<D>(dqkv + at.q, at.qkv_stride, dq, scale, scale, first + warp_row, s.sequence);
}

}  // namespace gpas::cuda
