// Flash attention backward on tensor cores without atomics: one kernel has keys and values of a head at rest and goes
// over the queries (dk, dv), one has queries at rest and goes over the keys (dq). Each computes the weights again from
// lse, so that together they take 14 · D FLOPs a visible pair of positions and not 10; but every sum has one order.
//   p = exp(scale q·k - lse)   ds = p (do·v - delta), delta = do·o
//   dv = Σ p do   dk = scale Σ ds q   dq = scale Σ ds k
// Speed on a GPU: see docs/results/ where it was measured.
#pragma once

#include "kernels/cuda/device/attention_tiles.cuh"

namespace gpas::cuda {

// Positions of the moving side at once: so few that everything stays in registers.
inline constexpr int backward_positions = 32;

template <int D>
constexpr std::int64_t backward_shared_bytes() {
    return 2 * tile_bytes<D>(tile_rows<D>) + 4 * tile_bytes<D>(backward_positions);
}

// What a kernel with keys at rest needs of one query; lse in units of log2 e.
struct QueryTerm {
    float lse;
    float delta;
    std::int32_t first_seen;
};
// Of the queries of a tile, in shared memory; two neighbours, the columns of a fragment, are read at once.
using TermPair = Pack<float, 2>;
struct QueryTerms {
    TermPair* lse;
    TermPair* delta;
    std::int32_t* first_seen;
};

GPAS_DEVICE QueryTerm query_term(const float* lse, const float* delta, const std::int32_t* segment_begin,
                                 const AttentionShape& s, std::int64_t sample, std::int64_t statistics,
                                 std::int64_t position) {
    if (position >= s.sequence) return {0.0F, 0.0F, 0x7fffffff};  // sees nothing
    return {lse[statistics + position] * log2_of_e, delta[statistics + position],
            std::int32_t(first_seen(segment_begin, s, sample, position))};
}
GPAS_DEVICE void store_term(const QueryTerms& to, int i, const QueryTerm& term) {
    to.lse[i / 2].v[i % 2] = term.lse;
    to.delta[i / 2].v[i % 2] = term.delta;
    to.first_seen[i] = term.first_seen;
}

// A tile of queries that keys at rest meet: those of one head of their group after the other.
struct QueryTile {
    int head;
    int begin;
};
GPAS_DEVICE QueryTile tile_after(const QueryTile& tile, int positions, int first, std::int64_t sequence) {
    if (tile.begin + positions < sequence) return {tile.head, tile.begin + positions};
    return {tile.head + 1, first};
}

// p = exp2(scale · p - lse), transposed: a row is a key, a column a query.
template <int N>
GPAS_DEVICE void weights_of_keys(FragmentC (&p)[N / 8], const QueryTerms& terms, float scale_log2) {
#pragma unroll
    for (int n = 0; n < N / 8; ++n) {
        const TermPair lse = terms.lse[fragment_column(n, 0) / 2];
#pragma unroll
        for (int i = 0; i < 4; ++i) p[n].f[i] = exp2_fast(fmaf(p[n].f[i], scale_log2, -lse.v[i % 2]));
    }
}
// No weight where the query stands before the key, or in a later document.
template <int N>
GPAS_DEVICE void mask_weights_of_keys(FragmentC (&p)[N / 8], const QueryTerms& terms, int first_key, int first_query) {
#pragma unroll
    for (int n = 0; n < N / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int key = first_key + fragment_row(i);
            const int column = fragment_column(n, i);
            const bool before = terms.first_seen[column] > key;
            if (key > first_query + column || before) p[n].f[i] = 0.0F;
        }
}
// ds = p (dp - delta)
template <int N>
GPAS_DEVICE void score_gradients(FragmentC (&ds)[N / 8], const FragmentC (&p)[N / 8], const QueryTerms& terms) {
#pragma unroll
    for (int n = 0; n < N / 8; ++n) {
        const TermPair delta = terms.delta[fragment_column(n, 0) / 2];
#pragma unroll
        for (int i = 0; i < 4; ++i) ds[n].f[i] = p[n].f[i] * (ds[n].f[i] - delta.v[i % 2]);
    }
}

// Keys at rest. Scores and dp are transposed: a row of a fragment is a key, a column a query.
template <int D>
GPAS_KERNEL GPAS_MOST_THREADS(tile_threads, 2)
    attention_dkv_kernel(bf16* dqkv, const bf16* d_o, const float* lse, const float* delta, const bf16* qkv,
                         AttentionShape s, const std::int32_t* segment_begin, float scale) {
    constexpr int M = row_groups<D>;
    constexpr int N = backward_positions;
    constexpr int tile = N * tile_pitch<D>;
    DYNAMIC_SHARED(shared);
    auto* const keys = reinterpret_cast<bf16*>(shared);
    bf16* const values = keys + tile_rows<D> * tile_pitch<D>;
    bf16* const queries = values + tile_rows<D> * tile_pitch<D>;  // two tiles
    bf16* const gradients = queries + 2 * tile;                   // of o, two tiles
    SHARED_ARRAY(TermPair, lse_terms, N);                         // of two tiles, as the next two
    SHARED_ARRAY(TermPair, delta_terms, N);
    SHARED_ARRAY(std::int32_t, seen_terms, 2 * N);

    const std::int64_t of_group = s.heads / s.kv_heads;
    const std::int64_t sample = blockIdx.y / s.kv_heads;
    const int first = int(blockIdx.x) * tile_rows<D>;  // the first keys are seen by most queries
    const int warp_row = int(threadIdx.x) / warp_size * warp_rows<D>;
    const HeadRows own = head_rows(s, sample, blockIdx.y % s.kv_heads * of_group);
    load_tile<D, tile_rows<D>>(keys, qkv + own.k, own.qkv_stride, first, s.sequence);
    load_tile<D, tile_rows<D>>(values, qkv + own.v, own.qkv_stride, first, s.sequence);

    const int turns = int(of_group) * ((int(s.sequence) - first + N - 1) / N);
    const auto terms_of = [&](int turn) {
        const int buffer = turn % 2;
        return QueryTerms{lse_terms + buffer * N / 2, delta_terms + buffer * N / 2, seen_terms + buffer * N};
    };
    const auto fetch = [&](int turn, const QueryTile& next) {
        const int buffer = turn % 2 * tile;
        load_tile<D, N>(queries + buffer, qkv + own.q + next.head * D, own.qkv_stride, next.begin, s.sequence);
        load_tile<D, N>(gradients + buffer, d_o + own.o + next.head * D, own.o_stride, next.begin, s.sequence);
        cp_async_commit();
    };
    const bool has_term = int(threadIdx.x) < N;
    const auto fetch_term = [&](const QueryTile& next) {
        return query_term(lse, delta, segment_begin, s, sample, own.statistics + next.head * s.sequence,
                          next.begin + int(threadIdx.x));
    };
    QueryTile next{0, first};
    fetch(0, next);
    if (has_term) store_term(terms_of(0), int(threadIdx.x), fetch_term(next));

    FragmentC dk[M][D / 8] = {};
    FragmentC dv[M][D / 8] = {};
    const float scale_log2 = scale * log2_of_e;
    for (int turn = 0; turn < turns; ++turn) {
        const int begin = next.begin;
        const bool more = turn + 1 < turns;
        QueryTerm next_term = {};
        cp_async_wait<0>();
        __syncthreads();  // this turn's tiles and terms have come; those of the turn before are done with
        if (more) {
            next = tile_after(next, N, first, s.sequence);
            fetch(turn + 1, next);
            if (has_term) next_term = fetch_term(next);
        }
        const int buffer = turn % 2 * tile;
        const QueryTerms terms = terms_of(turn);
        const bool masked = begin < first + tile_rows<D> || begin + N > s.sequence || segment_begin != nullptr;
        FragmentC p[M][N / 8];
        FragmentC ds[M][N / 8];
        dot_rows<D, M, N>(
            p, [&](int m, int column) { return left_operand<D>(keys, warp_row + m * 16, column); }, queries + buffer);
#pragma unroll
        for (int m = 0; m < M; ++m) {
            weights_of_keys<N>(p[m], terms, scale_log2);
            if (masked) mask_weights_of_keys<N>(p[m], terms, first + warp_row + m * 16, begin);
        }
        add_weighted_rows<D, M, N>(dv, p, gradients + buffer);
        dot_rows<D, M, N>(
            ds, [&](int m, int column) { return left_operand<D>(values, warp_row + m * 16, column); },
            gradients + buffer);
#pragma unroll
        for (int m = 0; m < M; ++m) score_gradients<N>(ds[m], p[m], terms);
        add_weighted_rows<D, M, N>(dk, ds, queries + buffer);
        if (more && has_term) store_term(terms_of(turn + 1), int(threadIdx.x), next_term);
    }
#pragma unroll
    for (int m = 0; m < M; ++m) {
        const int row = first + warp_row + m * 16;
        store_rows<D>(dqkv + own.k, own.qkv_stride, dk[m], scale, scale, row, s.sequence);
        store_rows<D>(dqkv + own.v, own.qkv_stride, dv[m], 1.0F, 1.0F, row, s.sequence);
    }
}

// A thread's row of a fragment of queries.
struct QueryRow {
    int position;
    QueryTerm term;
};

// p = exp2(scale · p - lse): a row is a query, a column a key.
template <int N>
GPAS_DEVICE void weights_of_queries(FragmentC (&p)[N / 8], const QueryRow (&rows)[2], float scale_log2) {
#pragma unroll
    for (int n = 0; n < N / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) p[n].f[i] = exp2_fast(fmaf(p[n].f[i], scale_log2, -rows[i / 2].term.lse));
}
template <int N>
GPAS_DEVICE void mask_weights_of_queries(FragmentC (&p)[N / 8], const QueryRow (&rows)[2], int first_key) {
#pragma unroll
    for (int n = 0; n < N / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int key = first_key + fragment_column(n, i);
            if (key > rows[i / 2].position || key < rows[i / 2].term.first_seen) p[n].f[i] = 0.0F;
        }
}
// ds = p (dp - delta)
template <int N>
GPAS_DEVICE void score_gradients(FragmentC (&ds)[N / 8], const FragmentC (&p)[N / 8], const QueryRow (&rows)[2]) {
#pragma unroll
    for (int n = 0; n < N / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) ds[n].f[i] = p[n].f[i] * (ds[n].f[i] - rows[i / 2].term.delta);
}

// Queries at rest: a row of a fragment is a query, a column a key.
template <int D>
GPAS_KERNEL GPAS_MOST_THREADS(tile_threads, 2)
    attention_dq_kernel(bf16* dqkv, const bf16* d_o, const float* lse, const float* delta, const bf16* qkv,
                        AttentionShape s, const std::int32_t* segment_begin, float scale) {
    constexpr int M = row_groups<D>;
    constexpr int N = backward_positions;
    constexpr int tile = N * tile_pitch<D>;
    DYNAMIC_SHARED(shared);
    auto* const queries = reinterpret_cast<bf16*>(shared);
    bf16* const gradients = queries + tile_rows<D> * tile_pitch<D>;
    bf16* const keys = gradients + tile_rows<D> * tile_pitch<D>;  // two tiles
    bf16* const values = keys + 2 * tile;

    const std::int64_t sample = blockIdx.y / s.heads;
    const HeadRows at = head_rows(s, sample, blockIdx.y % s.heads);
    const int first = int(gridDim.x - 1 - blockIdx.x) * tile_rows<D>;  // those with most work first
    const int warp_row = int(threadIdx.x) / warp_size * warp_rows<D>;
    load_tile<D, tile_rows<D>>(queries, qkv + at.q, at.qkv_stride, first, s.sequence);
    load_tile<D, tile_rows<D>>(gradients, d_o + at.o, at.o_stride, first, s.sequence);

    QueryRow rows[M][2];
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int position = first + warp_row + m * 16 + fragment_row(half * 2);
            rows[m][half] = {position, query_term(lse, delta, segment_begin, s, sample, at.statistics, position)};
        }
    const int last = first + tile_rows<D> < s.sequence ? first + tile_rows<D> : int(s.sequence);
    const int tiles = (last + N - 1) / N;
    const bf16* const k = qkv + at.k;
    const bf16* const v = k + D;  // as head_rows has it; said like this, one address does for both
    const auto fetch = [&](int j) {
        const int buffer = j % 2 * tile;
        load_tile<D, N>(keys + buffer, k, at.qkv_stride, j * N, s.sequence);
        load_tile<D, N>(values + buffer, v, at.qkv_stride, j * N, s.sequence);
        cp_async_commit();
    };
    fetch(0);

    FragmentC dq[M][D / 8] = {};
    const float scale_log2 = scale * log2_of_e;
    for (int j = 0; j < tiles; ++j) {
        cp_async_wait<0>();
        __syncthreads();  // tile j has come for all; tile j - 1 is done with by all
        if (j + 1 < tiles) fetch(j + 1);
        const int buffer = j % 2 * tile;
        const bool masked = (j + 1) * N > first || segment_begin != nullptr;
        FragmentC p[M][N / 8];
        FragmentC ds[M][N / 8];
        dot_rows<D, M, N>(
            p, [&](int m, int column) { return left_operand<D>(queries, warp_row + m * 16, column); }, keys + buffer);
        dot_rows<D, M, N>(
            ds, [&](int m, int column) { return left_operand<D>(gradients, warp_row + m * 16, column); },
            values + buffer);
#pragma unroll
        for (int m = 0; m < M; ++m) {
            weights_of_queries<N>(p[m], rows[m], scale_log2);
            if (masked) mask_weights_of_queries<N>(p[m], rows[m], j * N);
            score_gradients<N>(ds[m], p[m], rows[m]);
        }
        add_weighted_rows<D, M, N>(dq, ds, keys + buffer);
    }
#pragma unroll
    for (int m = 0; m < M; ++m)
        store_rows<D>(dqkv + at.q, at.qkv_stride, dq[m], scale, scale, first + warp_row + m * 16, s.sequence);
}

}  // namespace gpas::cuda
