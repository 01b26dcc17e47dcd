// Flash attention forward (FlashAttention-2, arXiv 2307.08691, alg. 1) on tensor cores. A block has 128 queries of a
// head if D <= 64, else 64. It loops over tiles of 64 keys and values, and loads the next tile (cp.async) while it uses
// the current one. Work: 4 · D FLOPs per visible (query, key) pair. Measured speed, and what limits it:
// docs/results/gpu.md.
#pragma once

#include "kernels/cuda/device/attention_tiles.cuh"

namespace gpas::cuda {

inline constexpr int forward_keys = 64;

// Dynamic shared memory of attention_forward_kernel. All rows are bf16 of pitch D + 8 elements (tile_pitch).
//
//     queries           keys 0       keys 1       values 0     values 1
//   0 +-----------------+------------+------------+------------+------------+ forward_shared_bytes
//     | tile_rows rows  |  64 rows   |  64 rows   |  64 rows   |  64 rows   |
//     +-----------------+------------+------------+------------+------------+
//     written once        key tile j: keys j % 2, and values j % 2. One of the two buffers is read while cp.async
//                         fills the other.
//
//   bytes of   queries   one tile of keys or values    in all
//   D = 48      14 336    7 168                        43 008
//   D = 64      18 432    9 216                        55 296
//   D = 96      13 312   13 312                        66 560
//   D = 128     17 408   17 408                        87 040
template <int D>
constexpr std::int64_t forward_shared_bytes() {
    return tile_bytes<D>(tile_rows<D>) + 4 * tile_bytes<D>(forward_keys);
}

constexpr float masked_score = -1.0e30F;  // finite: the difference of two masked scores is 0 and not NaN

// A thread's state for one row of queries. Per group of 16 rows a thread has elements of two rows (FragmentC).
struct SoftmaxRow {
    float most = masked_score;  // largest score of the row so far, before scaling
    float sum = 0.0F;           // Σ of weights so far, over the columns of this lane
    int first_seen = 0;         // first position that the query attends to
    int position = 0;           // of the query
};

// Maximum and sum over the four lanes that share a row (FragmentC).
GPAS_DEVICE float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(all_lanes, x, 1));
    return fmaxf(x, __shfl_xor_sync(all_lanes, x, 2));
}
GPAS_DEVICE float quad_sum(float x) {
    x += __shfl_xor_sync(all_lanes, x, 1);
    return x + __shfl_xor_sync(all_lanes, x, 2);
}

// Sets the scores of masked keys to masked_score: keys after the query, and keys before row.first_seen.
// first_key: position of the tile's first key.
template <int N>
GPAS_DEVICE void mask_scores(FragmentC (&scores)[N / 8], const SoftmaxRow (&rows)[2], int first_key) {
    for_elements<N>([&](int n, int i) {
        const int key = first_key + fragment_column(n, i);
        if (key > rows[i / 2].position || key < rows[i / 2].first_seen) scores[n].f[i] = masked_score;
    });
}

// Online softmax. Replaces scores by weights exp(scale · (score - most)), with `most` the row's largest score so far
// including this tile, and rescales the sums of earlier tiles (row.sum, `sum`) from the old to the new `most`.
// scale_log2 = scale · log2 e, because the kernel computes exp as 2^x. sum: 16 × D, the unnormalised output rows.
template <int D, int N>
GPAS_DEVICE void online_softmax(FragmentC (&scores)[N / 8], FragmentC (&sum)[D / 8], SoftmaxRow (&rows)[2],
                                float scale_log2) {
    unrolled<2>([&](int half) {
        SoftmaxRow& row = rows[half];
        const auto for_elements_of_row = [&](auto&& f) {
            unrolled<N / 8>([&](int n) { unrolled<2>([&](int i) { f(scores[n].f[half * 2 + i]); }); });
        };
        float most = row.most;
        for_elements_of_row([&](float& score) { most = fmaxf(most, score); });
        most = quad_max(most);
        const float base = most == masked_score ? 0.0F : most * scale_log2;  // all masked so far: every weight is 0
        const float keep = exp2_fast(fmaf(row.most, scale_log2, -base));
        float weights = 0.0F;
        for_elements_of_row([&](float& score) {
            score = exp2_fast(fmaf(score, scale_log2, -base));
            weights += score;
        });
        row.sum = row.sum * keep + weights;  // over this lane's columns of the row
        row.most = most;
        unrolled<D / 8>([&](int n) {
            sum[n].f[half * 2] *= keep;
            sum[n].f[half * 2 + 1] *= keep;
        });
    });
}

// The least first_seen of the queries first … first + ROWS - 1; every lane of the warp gets it.
template <int ROWS>
GPAS_DEVICE int least_first_seen(const std::int32_t* segment_begin, const AttentionShape& s, std::int64_t sample,
                                 int first) {
    if (segment_begin == nullptr) return first_seen(nullptr, s, sample, first);
    const int lane = int(threadIdx.x) % warp_size;
    float least = 3.0e38F;  // positions are exact in fp32 up to 2^24
    for (int i = lane; i < ROWS; i += warp_size)
        if (first + i < s.sequence) {
            const float seen = float(first_seen(segment_begin, s, sample, first + i));
            least = seen < least ? seen : least;
        }
    return int(-warp_max(-least));
}

// o and lse (=) of the 16 queries at positions begin … begin + 15, from their softmax state. sum: unnormalised rows of o.
// o and lse: of the head's position 0.
template <int D>
GPAS_DEVICE void store_output(bf16* o, std::int64_t o_stride, float* lse, const FragmentC (&sum)[D / 8],
                              const SoftmaxRow (&rows)[2], float scale_log2, int begin, std::int64_t sequence) {
    float factor[2];
    unrolled<2>([&](int half) {
        const SoftmaxRow& row = rows[half];
        const float total = quad_sum(row.sum);
        factor[half] = 1.0F / total;
        if (threadIdx.x % 4 == 0 && row.position < sequence)
            lse[row.position] = row.most * scale_log2 * ln_of_2 + logf(total);
    });
    store_rows<D>(o, o_stride, sum, factor[0], factor[1], begin, sequence);
}

// o and lse (=) of tile_rows<D> queries of one head. Grid: (tiles of queries, batch · heads).
template <int D>
GPAS_KERNEL GPAS_MOST_THREADS(tile_threads, 2)
    attention_forward_kernel(bf16* o, float* lse, const bf16* qkv, AttentionShape s, const std::int32_t* segment_begin,
                             float scale_log2) {
    constexpr int M = row_groups<D>;
    DYNAMIC_SHARED(shared);  // see the map at forward_shared_bytes()
    auto* const queries = reinterpret_cast<bf16*>(shared);
    bf16* const keys = queries + tile_rows<D> * tile_pitch<D>;
    bf16* const values = keys + 2 * forward_keys * tile_pitch<D>;
    constexpr int tile = forward_keys * tile_pitch<D>;

    const int first = int(gridDim.x - 1 - blockIdx.x) * tile_rows<D>;  // blocks with the most keys start first
    const std::int64_t sample = blockIdx.y / s.heads;
    const HeadRows at = head_rows(s, sample, blockIdx.y % s.heads);
    const int warp_row = int(threadIdx.x) / warp_size * warp_rows<D>;
    const int first_tile = least_first_seen<tile_rows<D>>(segment_begin, s, sample, first) / forward_keys;
    const int last = first + tile_rows<D> < s.sequence ? first + tile_rows<D> : int(s.sequence);
    const int tiles = (last + forward_keys - 1) / forward_keys;
    const int hidden = hidden_before(segment_begin, s, last);

    load_tile<D, tile_rows<D>>(queries, qkv + at.q, at.qkv_stride, first, s.sequence);
    const bf16* const k = qkv + at.k;
    const bf16* const v = k + D;  // equals qkv + at.v; written so that the compiler keeps one address for both
    const auto fetch = [&](int j) {
        const int buffer = j % 2 * tile;
        load_tile<D, forward_keys>(keys + buffer, k, at.qkv_stride, j * forward_keys, s.sequence);
        load_tile<D, forward_keys>(values + buffer, v, at.qkv_stride, j * forward_keys, s.sequence);
        cp_async_commit();
    };
    fetch(first_tile);

    SoftmaxRow rows[M][2];
    for_rows<M>([&](int m, int half) {
        SoftmaxRow& row = rows[m][half];
        row.position = first + warp_row + m * 16 + fragment_row(half * 2);
        if (row.position < s.sequence) row.first_seen = first_seen(segment_begin, s, sample, row.position);
    });
    FragmentA q[M][D / 16];
    FragmentC sum[M][D / 8] = {};
    for (int j = first_tile; j < tiles; ++j) {
        cp_async_wait<0>();
        __syncthreads();  // all threads' copies of tile j have arrived; all threads have finished reading tile j - 1
        if (j == first_tile)
            unrolled<M>([&](int m) {
                unrolled<D / 16>([&](int i) { q[m][i] = left_operand<D>(queries, warp_row + m * 16, i * 16); });
            });
        if (j + 1 < tiles) fetch(j + 1);
        const int buffer = j % 2 * tile;
        const bool masked = (j + 1) * forward_keys > first || j * forward_keys < hidden;
        FragmentC scores[M][forward_keys / 8];
        dot_rows<D, M, forward_keys>(scores, [&](int m, int column) { return q[m][column / 16]; }, keys + buffer);
#pragma unroll  // not unrolled(): it costs two registers here (D = 48, sm_80)
        for (int m = 0; m < M; ++m) {
            if (masked) mask_scores<forward_keys>(scores[m], rows[m], j * forward_keys);
            online_softmax<D, forward_keys>(scores[m], sum[m], rows[m], scale_log2);
        }
        add_weighted_rows<D, M, forward_keys>(sum, scores, values + buffer);
    }
    unrolled<M>([&](int m) {
        store_output<D>(o + at.o, at.o_stride, lse + at.statistics, sum[m], rows[m], scale_log2,
                        first + warp_row + m * 16, s.sequence);
    });
}

}  // namespace gpas::cuda
