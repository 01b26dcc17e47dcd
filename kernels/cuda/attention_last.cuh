// Attention of the last position of each sample, for any head_dim up to 128 and both dtypes, on CUDA cores in fp32. A
// block computes one query head. Its warps take turns of 4 positions each; lanes hold the columns of a head. Each key
// and value is read once per query head.
#pragma once

#include "kernels/cuda/attention_any.cuh"

namespace gpas::cuda {

inline constexpr int last_warps = 16;
inline constexpr int last_threads = last_warps * warp_size;
inline constexpr int last_keys = 4;  // positions that a warp takes per turn
static_assert(last_threads >= any_largest_head, "one thread per column of the result");

// Online softmax of the positions that one warp took. A lane has columns lane, lane + 32, ... of acc.
struct LastSums {
    float most = any_least;  // largest score
    float sum = 0.0F;        // Σ exp(score - most)
    float acc[any_columns] = {};
};

// Adds positions [begin, begin + last_keys) to `sums`. q: columns of the scaled query. keys, values: position 0 of the
// head. All lanes must call it.
template <class T>
GPAS_DEVICE void add_positions(LastSums& sums, const float* q, const T* keys, const T* values, std::int64_t stride,
                               std::int64_t begin, std::int64_t sequence, int dim) {
    const int lane = int(threadIdx.x) % warp_size;
    float score[last_keys];
    float now = sums.most;
    unrolled<last_keys>([&](int j) {
        float product = 0.0F;
        unrolled<any_columns>([&](int i) {
            const int column = lane + i * warp_size;
            if (begin + j < sequence && column < dim) product += q[i] * to_float(keys[(begin + j) * stride + column]);
        });
        score[j] = warp_sum(product);
        if (begin + j < sequence && score[j] > now) now = score[j];
    });
    const float keep = expf(sums.most - now);
    sums.most = now;
    sums.sum *= keep;
    unrolled<any_columns>([&](int i) { sums.acc[i] *= keep; });
    unrolled<last_keys>([&](int j) {
        if (begin + j >= sequence) return;
        const float p = expf(score[j] - now);
        sums.sum += p;
        unrolled<any_columns>([&](int i) {
            const int column = lane + i * warp_size;
            if (column < dim) sums.acc[i] += p * to_float(values[(begin + j) * stride + column]);
        });
    });
}

// o (=) of one query head at the last position. Grid: batch · heads. The sums of the warps are added in warp order.
template <class T>
GPAS_KERNEL GPAS_MOST_THREADS(last_threads) attention_last_kernel(T* o, const T* qkv, AttentionShape s, float scale) {
    SHARED_ARRAY(float, accs, last_warps* any_largest_head);
    SHARED_ARRAY(float, mosts, last_warps);
    SHARED_ARRAY(float, totals, last_warps);
    const int dim = int(s.head_dim);
    const int lane = int(threadIdx.x) % warp_size;
    const int warp = int(threadIdx.x) / warp_size;
    const HeadRows at = head_rows(s, blockIdx.x / s.heads, blockIdx.x % s.heads);
    const T* query = qkv + at.q + (s.sequence - 1) * at.qkv_stride;
    float q[any_columns] = {};
    unrolled<any_columns>([&](int i) {
        if (lane + i * warp_size < dim) q[i] = scale * to_float(query[lane + i * warp_size]);
    });
    LastSums sums;
    const std::int64_t first = first_seen(nullptr, s, 0, s.sequence - 1);
    for (std::int64_t begin = first + warp * last_keys; begin < s.sequence; begin += last_warps * last_keys)
        add_positions(sums, q, qkv + at.k, qkv + at.v, at.qkv_stride, begin, s.sequence, dim);

    unrolled<any_columns>([&](int i) { accs[warp * any_largest_head + lane + i * warp_size] = sums.acc[i]; });
    if (lane == 0) {
        mosts[warp] = sums.most;
        totals[warp] = sums.sum;
    }
    __syncthreads();
    const int column = int(threadIdx.x);
    if (column >= dim) return;
    float most = any_least;
    for (int w = 0; w < last_warps; ++w) most = mosts[w] > most ? mosts[w] : most;
    float sum = 0.0F;
    float value = 0.0F;
    for (int w = 0; w < last_warps; ++w) {
        const float factor = expf(mosts[w] - most);
        sum += factor * totals[w];
        value += factor * accs[w * any_largest_head + column];
    }
    o[at.o + column] = from_float<T>(value / sum);
}

}  // namespace gpas::cuda
