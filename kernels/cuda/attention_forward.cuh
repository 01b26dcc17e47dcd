// Flash attention forward (FlashAttention-2, arXiv 2307.08691, alg. 1) on tensor cores. A block has 64 or 128 queries
// of a head and goes over tiles of 64 keys, the next one on its way while this one is used. Bound by FLOPs: 4 · D a
// visible pair of positions. Speed on a GPU: see docs/results/ where it was measured.
#pragma once

#include "kernels/cuda/device/attention_tiles.cuh"

namespace gpas::cuda {

inline constexpr int forward_keys = 64;

template <int D>
constexpr std::int64_t forward_shared_bytes() {
    return tile_bytes<D>(tile_rows<D>) + 4 * tile_bytes<D>(forward_keys);  // queries; two tiles of keys and of values
}

constexpr float masked_score = -1.0e30F;  // finite: the difference of two of them is no NaN

// What a thread knows of its two rows of queries.
struct SoftmaxRow {
    float most = masked_score;  // of the scores so far
    float sum = 0.0F;
    int first_seen = 0;
    int position = 0;
};

GPAS_DEVICE float quad_max(float x) {  // over the four lanes that share a row
    x = fmaxf(x, __shfl_xor_sync(all_lanes, x, 1));
    return fmaxf(x, __shfl_xor_sync(all_lanes, x, 2));
}
GPAS_DEVICE float quad_sum(float x) {
    x += __shfl_xor_sync(all_lanes, x, 1);
    return x + __shfl_xor_sync(all_lanes, x, 2);
}

// Keys that a query does not see: later ones, and those of documents before its own.
template <int N>
GPAS_DEVICE void mask_scores(FragmentC (&scores)[N / 8], const SoftmaxRow (&rows)[2], int first_key) {
#pragma unroll
    for (int n = 0; n < N / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int key = first_key + fragment_column(n, i);
            if (key > rows[i / 2].position || key < rows[i / 2].first_seen) scores[n].f[i] = masked_score;
        }
}

// Scores become weights relative to the rows' largest scores so far, and what was summed before is scaled to these.
template <int D, int N>
GPAS_DEVICE void online_softmax(FragmentC (&scores)[N / 8], FragmentC (&sum)[D / 8], SoftmaxRow (&rows)[2],
                                float scale_log2) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        SoftmaxRow& row = rows[half];
        float most = row.most;
#pragma unroll
        for (int n = 0; n < N / 8; ++n)
#pragma unroll
            for (int i = half * 2; i < half * 2 + 2; ++i) most = fmaxf(most, scores[n].f[i]);
        most = quad_max(most);
        const float base = most == masked_score ? 0.0F : most * scale_log2;  // nothing seen yet: every weight is 0
        const float keep = exp2_fast(fmaf(row.most, scale_log2, -base));
        float weights = 0.0F;
#pragma unroll
        for (int n = 0; n < N / 8; ++n)
#pragma unroll
            for (int i = half * 2; i < half * 2 + 2; ++i) {
                scores[n].f[i] = exp2_fast(fmaf(scores[n].f[i], scale_log2, -base));
                weights += scores[n].f[i];
            }
        row.sum = row.sum * keep + weights;  // this lane's share of the row
        row.most = most;
#pragma unroll
        for (int n = 0; n < D / 8; ++n) {
            sum[n].f[half * 2] *= keep;
            sum[n].f[half * 2 + 1] *= keep;
        }
    }
}

// The least first_seen of a tile of queries, in every lane.
template <int ROWS>
GPAS_DEVICE int least_first_seen(const std::int32_t* segment_begin, const AttentionShape& s, std::int64_t sample,
                                 int first) {
    if (segment_begin == nullptr) return 0;
    const int lane = int(threadIdx.x) % warp_size;
    float least = 3.0e38F;  // positions are exact in fp32 up to 2^24
    for (int i = lane; i < ROWS; i += warp_size)
        if (first + i < s.sequence) {
            const float seen = float(first_seen(segment_begin, s, sample, first + i));
            least = seen < least ? seen : least;
        }
    return int(-warp_max(-least));
}

template <int D>
GPAS_KERNEL GPAS_MOST_THREADS(tile_threads, 2)
    attention_forward_kernel(bf16* o, float* lse, const bf16* qkv, AttentionShape s, const std::int32_t* segment_begin,
                             float scale_log2) {
    constexpr int M = row_groups<D>;
    DYNAMIC_SHARED(shared);
    auto* const queries = reinterpret_cast<bf16*>(shared);
    bf16* const keys = queries + tile_rows<D> * tile_pitch<D>;  // two tiles
    bf16* const values = keys + 2 * forward_keys * tile_pitch<D>;
    constexpr int tile = forward_keys * tile_pitch<D>;

    const int first = int(gridDim.x - 1 - blockIdx.x) * tile_rows<D>;  // those with most work first
    const std::int64_t sample = blockIdx.y / s.heads;
    const HeadRows at = head_rows(s, sample, blockIdx.y % s.heads);
    const int warp_row = int(threadIdx.x) / warp_size * warp_rows<D>;
    const int first_tile = least_first_seen<tile_rows<D>>(segment_begin, s, sample, first) / forward_keys;
    const int last = first + tile_rows<D> < s.sequence ? first + tile_rows<D> : int(s.sequence);
    const int tiles = (last + forward_keys - 1) / forward_keys;

    load_tile<D, tile_rows<D>>(queries, qkv + at.q, at.qkv_stride, first, s.sequence);
    const bf16* const k = qkv + at.k;
    const bf16* const v = k + D;  // as head_rows has it; said like this, one address does for both
    const auto fetch = [&](int j) {
        const int buffer = j % 2 * tile;
        load_tile<D, forward_keys>(keys + buffer, k, at.qkv_stride, j * forward_keys, s.sequence);
        load_tile<D, forward_keys>(values + buffer, v, at.qkv_stride, j * forward_keys, s.sequence);
        cp_async_commit();
    };
    fetch(first_tile);

    SoftmaxRow rows[M][2];
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            SoftmaxRow& row = rows[m][half];
            row.position = first + warp_row + m * 16 + fragment_row(half * 2);
            if (row.position < s.sequence) row.first_seen = first_seen(segment_begin, s, sample, row.position);
        }
    FragmentA q[M][D / 16];
    FragmentC sum[M][D / 8] = {};
    for (int j = first_tile; j < tiles; ++j) {
        cp_async_wait<0>();
        __syncthreads();  // tile j has come for all; tile j - 1 is done with by all
        if (j == first_tile)
#pragma unroll
            for (int m = 0; m < M; ++m)
#pragma unroll
                for (int i = 0; i < D / 16; ++i) q[m][i] = left_operand<D>(queries, warp_row + m * 16, i * 16);
        if (j + 1 < tiles) fetch(j + 1);
        const int buffer = j % 2 * tile;
        const bool masked = (j + 1) * forward_keys > first || segment_begin != nullptr;
        FragmentC scores[M][forward_keys / 8];
        dot_rows<D, M, forward_keys>(scores, [&](int m, int column) { return q[m][column / 16]; }, keys + buffer);
#pragma unroll
        for (int m = 0; m < M; ++m) {
            if (masked) mask_scores<forward_keys>(scores[m], rows[m], j * forward_keys);
            online_softmax<D, forward_keys>(scores[m], sum[m], rows[m], scale_log2);
        }
        add_weighted_rows<D, M, forward_keys>(sum, scores, values + buffer);
    }
#pragma unroll
    for (int m = 0; m < M; ++m) {
        float factor[2];
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const SoftmaxRow& row = rows[m][half];
            const float total = quad_sum(row.sum);
            factor[half] = 1.0F / total;
            if (threadIdx.x % 4 == 0 && row.position < s.sequence)
                lse[at.statistics + row.position] = row.most * scale_log2 * ln_of_2 + logf(total);
        }
        store_rows<D>(o + at.o, at.o_stride, sum[m], factor[0], factor[1], first + warp_row + m * 16, s.sequence);
    }
}

}  // namespace gpas::cuda
