// Flash attention backward (FlashAttention-2, arXiv 2307.08691, alg. 2) on tensor cores, without atomics. It is split
// into two kernels: attention_dkv_kernel has stationary keys and values and loops over the queries; attention_dq_kernel
// has stationary queries and loops over the keys. Both recompute the weights p from lse. Together they take 14 · D
// FLOPs per visible (query, key) pair; one kernel with atomic additions would take 10 · D. In return every sum has a
// fixed order.
//   p = exp(scale q·k - lse)   ds = p (do·v - delta), delta = do·o
//   dv = Σ p do   dk = scale Σ ds q   dq = scale Σ ds k
// Measured speed, and what limits it: docs/results/gpu.md.
#pragma once

#include "kernels/cuda/device/attention_tiles.cuh"

namespace gpas::cuda {

// Rows of a moving tile. Few enough that all fragments stay in registers.
inline constexpr int backward_positions = 32;

// Dynamic shared memory of the two backward kernels. All rows are bf16 of pitch D + 8 elements (tile_pitch).
//
//                            stationary                  moving, 32 rows per tile
//   0                    +-------------+-------------+-----------+-----------+-------------+-------------+ end
//   attention_dkv_kernel | keys        | values      | queries 0 | queries 1 | gradients 0 | gradients 1 |
//   attention_dq_kernel  | queries     | gradients   | keys 0    | keys 1    | values 0    | values 1    |
//                        +-------------+-------------+-----------+-----------+-------------+-------------+
//                          tile_rows rows each,        moving tile i is in buffer i % 2; one buffer is read while
//                          written once                cp.async fills the other
//
//   gradients: rows of d_o.     end: backward_shared_bytes
//   bytes of   one stationary part   one moving tile    in all
//   D = 48      14 336                3 584              43 008
//   D = 64      18 432                4 608              55 296
//   D = 96      13 312                6 656              53 248
//   D = 128     17 408                8 704              69 632
//
// attention_dkv_kernel has 768 bytes of static shared memory in addition: lse, delta and first_seen of the queries of
// two moving tiles (QueryTerms).
template <int D>
constexpr std::int64_t backward_shared_bytes() {
    return 2 * tile_bytes<D>(tile_rows<D>) + 4 * tile_bytes<D>(backward_positions);
}

// What a block of either kernel has: its parts of shared memory (see the map), and its stationary rows.
template <int D>
struct BackwardBlock {
    static constexpr int moving_tile = backward_positions * tile_pitch<D>;  // elements
    bf16 *own_a, *own_b;        // stationary rows: keys and values, or queries and gradients
    bf16 *moving_a, *moving_b;  // two tiles each: queries and gradients, or keys and values
    int first;                  // position of the block's first stationary row
    int warp_row;               // this warp's first stationary row, counted from the block's first row
};
template <int D>
GPAS_DEVICE BackwardBlock<D> backward_block(unsigned char* shared, int index) {
    auto* const rows = reinterpret_cast<bf16*>(shared);
    constexpr int own = tile_rows<D> * tile_pitch<D>;
    return {.own_a = rows,
            .own_b = rows + own,
            .moving_a = rows + 2 * own,
            .moving_b = rows + 2 * own + 2 * BackwardBlock<D>::moving_tile,
            .first = index * tile_rows<D>,
            .warp_row = int(threadIdx.x) / warp_size * warp_rows<D>};
}

// The rows of one head in global memory: the row of position p is at rows + p · stride (elements).
struct HeadSource {
    const bf16* rows;
    std::int64_t stride;
};
// Start copying the stationary rows, or the moving tiles of a turn (cp.async), from a to part a and from b to part b.
template <int D>
GPAS_DEVICE void load_stationary(const BackwardBlock<D>& block, HeadSource a, HeadSource b, std::int64_t sequence) {
    load_tile<D, tile_rows<D>>(block.own_a, a.rows, a.stride, block.first, sequence);
    load_tile<D, tile_rows<D>>(block.own_b, b.rows, b.stride, block.first, sequence);
}
template <int D>
GPAS_DEVICE void load_moving(const BackwardBlock<D>& block, int turn, HeadSource a, HeadSource b, std::int64_t begin,
                             std::int64_t sequence) {
    const int buffer = turn % 2 * BackwardBlock<D>::moving_tile;
    load_tile<D, backward_positions>(block.moving_a + buffer, a.rows, a.stride, begin, sequence);
    load_tile<D, backward_positions>(block.moving_b + buffer, b.rows, b.stride, begin, sequence);
    cp_async_commit();
}
// scores = own · movingᵀ for the stationary rows of this warp. own: own_a or own_b; moving: one moving tile.
template <int D>
GPAS_DEVICE void dot_stationary(FragmentC (&scores)[row_groups<D>][backward_positions / 8],
                                const BackwardBlock<D>& block, const bf16* own, const bf16* moving) {
    dot_rows<D, row_groups<D>, backward_positions>(
        scores, [&](int m, int column) { return left_operand<D>(own, block.warp_row + m * 16, column); }, moving);
}

// What the weights and their gradients need per query.
struct QueryTerm {
    float lse;                // · log2 e, because the kernels compute exp as 2^x
    float delta;              // Σ do ⊙ o of the query
    std::int32_t first_seen;  // first position that the query attends to
};
// QueryTerm of the queries of a tile, in shared memory. Two neighbouring queries, which are neighbouring columns of a
// fragment, are read with one access.
using TermPair = Pack<float, 2>;
struct QueryTerms {
    TermPair* lse;
    TermPair* delta;
    std::int32_t* first_seen;
};

GPAS_DEVICE QueryTerm query_term(const float* lse, const float* delta, const std::int32_t* segment_begin,
                                 const AttentionShape& s, std::int64_t sample, std::int64_t statistics,
                                 std::int64_t position) {
    if (position >= s.sequence) return {0.0F, 0.0F, 0x7fffffff};  // all keys are masked
    return {lse[statistics + position] * log2_of_e, delta[statistics + position],
            std::int32_t(first_seen(segment_begin, s, sample, position))};
}
GPAS_DEVICE void store_term(const QueryTerms& to, int i, const QueryTerm& term) {
    to.lse[i / 2].v[i % 2] = term.lse;
    to.delta[i / 2].v[i % 2] = term.delta;
    to.first_seen[i] = term.first_seen;
}

// A moving tile of queries. The loop of attention_dkv_kernel covers the query heads of the KV head's group one after
// the other, each from position `first` (the block's first key) to `end` (end_of_queries()).
struct QueryTile {
    int head;   // within the group
    int begin;  // position of the first query
};
GPAS_DEVICE QueryTile tile_after(const QueryTile& tile, int positions, int first, int end) {
    if (tile.begin + positions < end) return {tile.head, tile.begin + positions};
    return {tile.head + 1, first};
}

// p = exp2(scale_log2 · p - lse). p is transposed: a row is a key, a column is a query.
template <int N>
GPAS_DEVICE void weights_of_keys(FragmentC (&p)[N / 8], const QueryTerms& terms, float scale_log2) {
    unrolled<N / 8>([&](int n) {
        const TermPair lse = terms.lse[fragment_column(n, 0) / 2];
        unrolled<4>([&](int i) { p[n].f[i] = exp2_fast(fmaf(p[n].f[i], scale_log2, -lse.v[i % 2])); });
    });
}
// p = 0 if the query is before the key, or its first_seen after the key. first_key, first_query: positions of row 0, column 0.
template <int N>
GPAS_DEVICE void mask_weights_of_keys(FragmentC (&p)[N / 8], const QueryTerms& terms, int first_key, int first_query) {
    for_elements<N>([&](int n, int i) {
        const int key = first_key + fragment_row(i);
        const int column = fragment_column(n, i);
        const bool before = terms.first_seen[column] > key;
        if (key > first_query + column || before) p[n].f[i] = 0.0F;
    });
}
// ds = p (dp - delta). On entry ds holds dp = do·v.
template <int N>
GPAS_DEVICE void score_gradients(FragmentC (&ds)[N / 8], const FragmentC (&p)[N / 8], const QueryTerms& terms) {
    unrolled<N / 8>([&](int n) {
        const TermPair delta = terms.delta[fragment_column(n, 0) / 2];
        unrolled<4>([&](int i) { ds[n].f[i] = p[n].f[i] * (ds[n].f[i] - delta.v[i % 2]); });
    });
}

// dv += Σ p do and dk += Σ ds q over the queries of one moving tile (not yet multiplied by scale). begin: position of
// the tile's first query. masked: some queries do not attend to some of the keys.
template <int D>
GPAS_DEVICE void add_queries(FragmentC (&dk)[row_groups<D>][D / 8], FragmentC (&dv)[row_groups<D>][D / 8],
                             const BackwardBlock<D>& block, int turn, const QueryTerms& terms, int begin, bool masked,
                             float scale_log2) {
    constexpr int M = row_groups<D>;
    constexpr int N = backward_positions;
    const int buffer = turn % 2 * block.moving_tile;
    const bf16* const queries = block.moving_a + buffer;
    const bf16* const gradients = block.moving_b + buffer;
    FragmentC p[M][N / 8];
    FragmentC ds[M][N / 8];
    dot_stationary(p, block, block.own_a, queries);
    unrolled<M>([&](int m) {
        weights_of_keys<N>(p[m], terms, scale_log2);
        if (masked) mask_weights_of_keys<N>(p[m], terms, block.first + block.warp_row + m * 16, begin);
    });
    add_weighted_rows<D, M, N>(dv, p, gradients);
    dot_stationary(ds, block, block.own_b, gradients);
    unrolled<M>([&](int m) { score_gradients<N>(ds[m], p[m], terms); });
    add_weighted_rows<D, M, N>(dk, ds, queries);
}

// dk and dv (=) of tile_rows<D> positions of one KV head, summed over all query heads of its group. Keys and values are
// stationary. Scores and dp are transposed: a row of a fragment is a key, a column is a query.
// Grid: (tiles of keys, batch · kv_heads).
template <int D>
GPAS_KERNEL GPAS_MOST_THREADS(tile_threads, 2)
    attention_dkv_kernel(bf16* dqkv, const bf16* d_o, const float* lse, const float* delta, const bf16* qkv,
                         AttentionShape s, const std::int32_t* segment_begin, float scale) {
    constexpr int M = row_groups<D>;
    constexpr int N = backward_positions;
    DYNAMIC_SHARED(shared);                // see the map at backward_shared_bytes()
    SHARED_ARRAY(TermPair, lse_terms, N);  // these three arrays hold the terms of two tiles of N queries
    SHARED_ARRAY(TermPair, delta_terms, N);
    SHARED_ARRAY(std::int32_t, seen_terms, 2 * N);

    const std::int64_t of_group = s.heads / s.kv_heads;
    const std::int64_t sample = blockIdx.y / s.kv_heads;
    // Block 0, whose keys the most queries attend to, starts first.
    const BackwardBlock<D> block = backward_block<D>(shared, int(blockIdx.x));
    const HeadRows own = head_rows(s, sample, blockIdx.y % s.kv_heads * of_group);
    load_stationary(block, {qkv + own.k, own.qkv_stride}, {qkv + own.v, own.qkv_stride}, s.sequence);

    const int end = int(end_of_queries(s, block.first + tile_rows<D>));
    const int seen = seen_until(segment_begin, s, block.first);
    const int turns = int(of_group) * ((end - block.first + N - 1) / N);
    const auto terms_of = [&](int turn) {
        const int buffer = turn % 2;
        return QueryTerms{lse_terms + buffer * N / 2, delta_terms + buffer * N / 2, seen_terms + buffer * N};
    };
    const auto fetch = [&](int turn, const QueryTile& next) {
        load_moving(block, turn, {qkv + own.q + next.head * D, own.qkv_stride},
                    {d_o + own.o + next.head * D, own.o_stride}, next.begin, s.sequence);
    };
    const bool has_term = int(threadIdx.x) < N;
    const auto fetch_term = [&](const QueryTile& next) {
        return query_term(lse, delta, segment_begin, s, sample, own.statistics + next.head * s.sequence,
                          next.begin + int(threadIdx.x));
    };
    QueryTile next{0, block.first};
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
        __syncthreads();  // all tiles and terms of this turn have arrived; all threads have finished the previous turn
        if (more) {
            next = tile_after(next, N, block.first, end);
            fetch(turn + 1, next);
            if (has_term) next_term = fetch_term(next);
        }
        const bool masked = begin < block.first + tile_rows<D> || begin + N > seen;
        add_queries(dk, dv, block, turn, terms_of(turn), begin, masked, scale_log2);
        if (more && has_term) store_term(terms_of(turn + 1), int(threadIdx.x), next_term);
    }
    unrolled<M>([&](int m) {
        const int row = block.first + block.warp_row + m * 16;
        store_rows<D>(dqkv + own.k, own.qkv_stride, dk[m], scale, scale, row, s.sequence);
        store_rows<D>(dqkv + own.v, own.qkv_stride, dv[m], 1.0F, 1.0F, row, s.sequence);
    });
}

// One of the two rows of queries that a thread has per group of 16 rows (FragmentC).
struct QueryRow {
    int position;
    QueryTerm term;
};

// p = exp2(scale_log2 · p - lse). A row of p is a query, a column is a key.
template <int N>
GPAS_DEVICE void weights_of_queries(FragmentC (&p)[N / 8], const QueryRow (&rows)[2], float scale_log2) {
    for_elements<N>([&](int n, int i) { p[n].f[i] = exp2_fast(fmaf(p[n].f[i], scale_log2, -rows[i / 2].term.lse)); });
}
// p = 0 for keys after the query and keys before its first_seen. first_key: position of column 0.
template <int N>
GPAS_DEVICE void mask_weights_of_queries(FragmentC (&p)[N / 8], const QueryRow (&rows)[2], int first_key) {
    for_elements<N>([&](int n, int i) {
        const int key = first_key + fragment_column(n, i);
        if (key > rows[i / 2].position || key < rows[i / 2].term.first_seen) p[n].f[i] = 0.0F;
    });
}
// ds = p (dp - delta). On entry ds holds dp = do·v.
template <int N>
GPAS_DEVICE void score_gradients(FragmentC (&ds)[N / 8], const FragmentC (&p)[N / 8], const QueryRow (&rows)[2]) {
    for_elements<N>([&](int n, int i) { ds[n].f[i] = p[n].f[i] * (ds[n].f[i] - rows[i / 2].term.delta); });
}

// dq (=) of tile_rows<D> queries of one head. Queries are stationary. A row of a fragment is a query, a column is a
// key. Grid: (tiles of queries, batch · heads).
template <int D>
GPAS_KERNEL GPAS_MOST_THREADS(tile_threads, 2)
    attention_dq_kernel(bf16* dqkv, const bf16* d_o, const float* lse, const float* delta, const bf16* qkv,
                        AttentionShape s, const std::int32_t* segment_begin, float scale) {
    constexpr int M = row_groups<D>;
    constexpr int N = backward_positions;
    DYNAMIC_SHARED(shared);  // see the map at backward_shared_bytes()

    const std::int64_t sample = blockIdx.y / s.heads;
    const HeadRows at = head_rows(s, sample, blockIdx.y % s.heads);
    // Blocks with the most keys start first.
    const BackwardBlock<D> block = backward_block<D>(shared, int(gridDim.x - 1 - blockIdx.x));
    load_stationary(block, {qkv + at.q, at.qkv_stride}, {d_o + at.o, at.o_stride}, s.sequence);

    QueryRow rows[M][2];
    for_rows<M>([&](int m, int half) {
        const int position = block.first + block.warp_row + m * 16 + fragment_row(half * 2);
        rows[m][half] = {position, query_term(lse, delta, segment_begin, s, sample, at.statistics, position)};
    });
    const int end = block.first + tile_rows<D>;
    const int last = end < s.sequence ? end : int(s.sequence);
    const int tiles = (last + N - 1) / N;
    const int hidden = hidden_before(segment_begin, s, last);
    const bf16* const k = qkv + at.k;
    const bf16* const v = k + D;  // equals qkv + at.v; written so that the compiler keeps one address for both
    const auto fetch = [&](int j) { load_moving(block, j, {k, at.qkv_stride}, {v, at.qkv_stride}, j * N, s.sequence); };
    // Without documents; the kernel computes all tiles of earlier documents, masked.
    const int first_tile = first_seen(nullptr, s, sample, block.first) / N;
    fetch(first_tile);

    FragmentC dq[M][D / 8] = {};
    const float scale_log2 = scale * log2_of_e;
    for (int j = first_tile; j < tiles; ++j) {
        cp_async_wait<0>();
        __syncthreads();  // all threads' copies of tile j have arrived; all threads have finished reading tile j - 1
        if (j + 1 < tiles) fetch(j + 1);
        const int buffer = j % 2 * block.moving_tile;
        const bf16* const keys = block.moving_a + buffer;
        const bf16* const values = block.moving_b + buffer;
        const bool masked = (j + 1) * N > block.first || j * N < hidden;
        FragmentC p[M][N / 8];
        FragmentC ds[M][N / 8];
        dot_stationary(p, block, block.own_a, keys);
        dot_stationary(ds, block, block.own_b, values);
        unrolled<M>([&](int m) {
            weights_of_queries<N>(p[m], rows[m], scale_log2);
            if (masked) mask_weights_of_queries<N>(p[m], rows[m], j * N);
            score_gradients<N>(ds[m], p[m], rows[m]);
        });
        add_weighted_rows<D, M, N>(dq, ds, keys);
    }
    unrolled<M>([&](int m) {
        store_rows<D>(dqkv + at.q, at.qkv_stride, dq[m], scale, scale, block.first + block.warp_row + m * 16,
                      s.sequence);
    });
}

}  // namespace gpas::cuda
