// Flash attention forward (FlashAttention-2, arXiv 2307.08691, alg. 1) on tensor cores. A block has 64 queries of a
// head and goes over tiles of 64 keys, the next one on its way while this one is used. Bound by FLOPs: 4 · D a visible
// pair of positions. Speed on a GPU: see docs/results/ where it was measured.
#pragma once

#include "kernels/cuda/device/attention_tiles.cuh"

namespace gpas::cuda {

inline constexpr int forward_keys = 64;

template <int D>
constexpr std::int64_t forward_shared_bytes() {
    return tile_bytes<D>(tile_rows) + 4 * tile_bytes<D>(forward_keys);  // queries; two tiles of keys and of values
}

constexpr float masked_score = -1.0e30F;  // finite: the difference of two of them is no NaN

// What a thread knows of its two rows of queries.
struct SoftmaxRow {
    float most = masked_score;  // of the scores so far, times scale · log2 e
    float sum = 0.0F;
    int first_seen = 0;
    int position = 0;
};

GPAS_DEVICE float quad_max(float x) {  // over the four lanes that share a row
    const float a = __shfl_xor_sync(all_lanes, x, 1);
    x = a > x ? a : x;
    const float b = __shfl_xor_sync(all_lanes, x, 2);
    return b > x ? b : x;
}
GPAS_DEVICE float quad_sum(float x) {
    x += __shfl_xor_sync(all_lanes, x, 1);
    return x + __shfl_xor_sync(all_lanes, x, 2);
}

// Scores become weights relative to the rows' largest scores so far, and what was summed before is scaled to these.
template <int D, int N>
GPAS_DEVICE void online_softmax(FragmentC (&scores)[N / 8], FragmentC (&sum)[D / 8], SoftmaxRow (&rows)[2],
                                int first_key, bool masked, float scale_log2) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        SoftmaxRow& row = rows[half];
        float most = row.most;
#pragma unroll
        for (int n = 0; n < N / 8; ++n)
#pragma unroll
            for (int i = half * 2; i < half * 2 + 2; ++i) {
                float score = scores[n].f[i] * scale_log2;
                const int key = first_key + fragment_column(n, i);
                if (masked && (key > row.position || key < row.first_seen)) score = masked_score;
                scores[n].f[i] = score;
                most = score > most ? score : most;
            }
        most = quad_max(most);
        const float base = most == masked_score ? 0.0F : most;  // nothing seen yet: every weight is 0
        const float keep = exp2_fast(row.most - base);
        float weights = 0.0F;
#pragma unroll
        for (int n = 0; n < N / 8; ++n)
#pragma unroll
            for (int i = half * 2; i < half * 2 + 2; ++i) {
                scores[n].f[i] = exp2_fast(scores[n].f[i] - base);
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

// The least first_seen of 64 queries, in every lane.
GPAS_DEVICE int least_first_seen(const std::int32_t* segment_begin, const AttentionShape& s, std::int64_t sample,
                                 int first) {
    if (segment_begin == nullptr) return 0;
    const int lane = int(threadIdx.x) % warp_size;
    float least = 3.0e38F;  // positions are exact in fp32 up to 2^24
    for (int i = lane; i < tile_rows; i += warp_size)
        if (first + i < s.sequence) {
            const float seen = float(first_seen(segment_begin, s, sample, first + i));
            least = seen < least ? seen : least;
        }
    return int(-warp_max(-least));
}

template <int D>
GPAS_KERNEL GPAS_MOST_THREADS(tile_threads)
    attention_forward_kernel(bf16* o, float* lse, const bf16* qkv, AttentionShape s, const std::int32_t* segment_begin,
                             float scale_log2) {
    DYNAMIC_SHARED(shared);
    auto* const queries = reinterpret_cast<bf16*>(shared);
    bf16* const keys = queries + tile_rows * tile_pitch<D>;  // two tiles
    bf16* const values = keys + 2 * forward_keys * tile_pitch<D>;
    constexpr int tile = forward_keys * tile_pitch<D>;

    const int first = int(gridDim.x - 1 - blockIdx.x) * tile_rows;  // those with most work first
    const std::int64_t sample = blockIdx.y / s.heads;
    const HeadRows at = head_rows(s, sample, blockIdx.y % s.heads);
    const int warp_row = int(threadIdx.x) / warp_size * 16;
    const int first_tile = least_first_seen(segment_begin, s, sample, first) / forward_keys;
    const int last = first + tile_rows < s.sequence ? first + tile_rows : int(s.sequence);
    const int tiles = (last + forward_keys - 1) / forward_keys;

    load_tile<D, tile_rows>(queries, qkv + at.q, at.qkv_stride, first, s.sequence);
    const auto fetch = [&](int j) {
        const int buffer = j % 2 * tile;
        load_tile<D, forward_keys>(keys + buffer, qkv + at.k, at.qkv_stride, j * forward_keys, s.sequence);
        load_tile<D, forward_keys>(values + buffer, qkv + at.v, at.qkv_stride, j * forward_keys, s.sequence);
        cp_async_commit();
    };
    fetch(first_tile);

    SoftmaxRow rows[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        rows[half].position = first + warp_row + fragment_row(half * 2);
        if (rows[half].position < s.sequence)
            rows[half].first_seen = first_seen(segment_begin, s, sample, rows[half].position);
    }
    FragmentA q[D / 16];
    FragmentC sum[D / 8] = {};
    for (int j = first_tile; j < tiles; ++j) {
        cp_async_wait<0>();
        __syncthreads();  // tile j has come for all; tile j - 1 is done with by all
        if (j == first_tile)
#pragma unroll
            for (int k = 0; k < D / 16; ++k) q[k] = left_operand<D>(queries, warp_row, k * 16);
        if (j + 1 < tiles) fetch(j + 1);
        const int buffer = j % 2 * tile;
        FragmentC scores[forward_keys / 8];
        dot_rows<D, forward_keys>(
            scores, [&](int k) { return q[k / 16]; }, keys + buffer);
        const bool masked = (j + 1) * forward_keys > first || segment_begin != nullptr;
        online_softmax<D, forward_keys>(scores, sum, rows, j * forward_keys, masked, scale_log2);
        add_weighted_rows<D, forward_keys>(sum, scores, values + buffer);
    }
    float factor[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const float total = quad_sum(rows[half].sum);
        factor[half] = 1.0F / total;
        if (threadIdx.x % 4 == 0 && rows[half].position < s.sequence)
            lse[at.statistics + rows[half].position] = rows[half].most * ln_of_2 + logf(total);
    }
    store_rows<D>(o + at.o, at.o_stride, sum, factor[0], factor[1], first + warp_row, s.sequence);
}

}  // namespace gpas::cuda
