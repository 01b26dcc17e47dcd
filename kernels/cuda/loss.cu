// Cross entropy over chunks of logits. Bound by memory: the logits are read once for the statistics and once more for
// their gradient, which is written once.
#include "kernels/cuda/loss.hpp"

#include "kernels/cuda/launch_flat.hpp"

namespace gpas::cuda {
namespace {

constexpr int row_block = 512;  // threads that share a row of logits
constexpr float log2_e = 1.44269504088896341F;
// Below every logit, and finite: the difference of two of them is 0 and not NaN.
constexpr float least = -3.0e38F;

GPAS_DEVICE float fast_exp(float x) { return exp2_fast(x * log2_e); }

// The largest of some numbers, and the sum of their exponentials relative to it.
struct Softmax {
    float most = least;
    float sum = 0.0F;
};
GPAS_DEVICE void add(Softmax& s, float x) {
    if (x > s.most) {
        s.sum = s.sum * fast_exp(s.most - x) + 1.0F;
        s.most = x;
    } else {
        s.sum += fast_exp(x - s.most);
    }
}

GPAS_DEVICE float block_max(float x, float* parts) {
    x = warp_max(x);
    const int lane = int(threadIdx.x) % warp_size;
    if (lane == 0) parts[int(threadIdx.x) / warp_size] = x;
    __syncthreads();
    return warp_max(lane < int(blockDim.x) / warp_size ? parts[lane] : least);
}

template <int V>
GPAS_KERNEL GPAS_MOST_THREADS(row_block) stats_kernel(float* stats, const float* logits, const std::int32_t* labels,
                                                      std::int64_t first_column, std::int64_t columns) {
    SHARED_ARRAY(float, max_parts, warp_size);
    SHARED_ARRAY(float, sum_parts, warp_size);
    const std::int64_t t = blockIdx.x;
    const float* row = logits + t * columns;
    Softmax mine;
    for (std::int64_t c = std::int64_t(threadIdx.x) * V; c < columns; c += std::int64_t(row_block) * V) {
        const auto pack = load_pack<V>(row + c);
#pragma unroll
        for (int v = 0; v < V; ++v) add(mine, pack.v[v]);
    }
    const float most = block_max(mine.most, max_parts);
    const float sum = block_sum(mine.sum * fast_exp(mine.most - most), sum_parts);
    if (threadIdx.x != 0) return;
    const std::int64_t label = std::int64_t(labels[t]) - first_column;
    stats[3 * t] = most;
    stats[3 * t + 1] = sum;
    stats[3 * t + 2] = 0 <= label && label < columns ? row[label] : 0.0F;
}

GPAS_KERNEL GPAS_MOST_THREADS(flat_threads)
    combine_kernel(float* stats, const float* parts, std::int64_t rows, std::int64_t ranks) {
    const std::int64_t t = flat_index(1);
    if (t >= rows) return;
    float most = least;
    for (std::int64_t p = 0; p < ranks; ++p) {
        const float of_rank = parts[3 * (rows * p + t)];
        most = of_rank > most ? of_rank : most;
    }
    float sum = 0.0F;
    float target = 0.0F;
    for (std::int64_t p = 0; p < ranks; ++p) {
        const float* part = parts + 3 * (rows * p + t);
        sum += part[1] * fast_exp(part[0] - most);
        target += part[2];
    }
    stats[3 * t] = most;
    stats[3 * t + 1] = sum;
    stats[3 * t + 2] = target;
}

// One block: a chunk has some hundred rows.
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads)
    loss_kernel(double* total, const float* stats, const std::int32_t* labels, std::int64_t rows) {
    SHARED_ARRAY(double, parts, warp_size);
    double sum = 0.0;
    for (std::int64_t t = threadIdx.x; t < rows; t += blockDim.x)
        if (labels[t] >= 0) sum += (double(stats[3 * t]) - double(stats[3 * t + 2])) + log(double(stats[3 * t + 1]));
    sum = block_sum(sum, parts);
    if (threadIdx.x == 0) *total += sum;
}

// A thread reads what it overwrites, and nothing else: dlogits may be the logits.
template <class T, int V>
GPAS_KERNEL GPAS_MOST_THREADS(row_block)
    backward_kernel(T* dlogits, const float* logits, const float* stats, const std::int32_t* labels,
                    std::int64_t first_column, std::int64_t columns, float factor) {
    const std::int64_t t = blockIdx.x;
    const std::int32_t label = labels[t];
    const float most = stats[3 * t];
    const float share = label >= 0 ? factor / stats[3 * t + 1] : 0.0F;
    for (std::int64_t c = std::int64_t(threadIdx.x) * V; c < columns; c += std::int64_t(row_block) * V) {
        const auto in = load_pack<V>(logits + t * columns + c);
        Pack<T, V> out;
#pragma unroll
        for (int v = 0; v < V; ++v) {
            // A row without a label may hold anything, so it is cleared and not multiplied by zero.
            float d = label >= 0 ? share * fast_exp(in.v[v] - most) : 0.0F;
            if (label >= 0 && c + v + first_column == label) d -= factor;
            out.v[v] = from_float<T>(d);
        }
        store_pack(dlogits + t * columns + c, out);
    }
}

}  // namespace

void cross_entropy_stats(Context& context, Tensor stats, Tensor logits, Tensor labels, std::int64_t first_column) {
    if (logits.rows() == 0) return;
    const bool vectors = aligned_16({logits.data}) && logits.columns() % 4 == 0;
    launch(context.gpu(), {.grid = unsigned(logits.rows()), .threads = row_block},
           vectors ? stats_kernel<4> : stats_kernel<1>, stats.as<float>(), logits.as<float>(),
           labels.as<std::int32_t>(), first_column, logits.columns());
}

void cross_entropy_combine(Context& context, Tensor stats, Tensor parts) {
    const std::int64_t rows = stats.rows();
    launch(context.gpu(), {.grid = blocks_of(rows, 1), .threads = flat_threads}, combine_kernel, stats.as<float>(),
           parts.as<float>(), rows, parts.rows() / rows);
}

void cross_entropy_loss(Context& context, Tensor sum, Tensor stats, Tensor labels) {
    launch(context.gpu(), {.grid = 1, .threads = flat_threads}, loss_kernel, sum.as<double>(), stats.as<float>(),
           labels.as<std::int32_t>(), labels.elements());
}

void cross_entropy_backward(Context& context, Tensor dlogits, Tensor logits, Tensor stats, Tensor labels,
                            std::int64_t first_column, float factor) {
    if (logits.rows() == 0) return;
    const bool vectors = aligned_16({logits.data, dlogits.data}) && logits.columns() % 4 == 0;
    const auto with = [&](auto zero) {
        using T = decltype(zero);
        launch(context.gpu(), {.grid = unsigned(logits.rows()), .threads = row_block},
               vectors ? backward_kernel<T, 4> : backward_kernel<T, 1>, dlogits.as<T>(), logits.as<float>(),
               stats.as<float>(), labels.as<std::int32_t>(), first_column, logits.columns(), factor);
    };
    dlogits.dtype == Dtype::bf16 ? with(bf16()) : with(float());
}

}  // namespace gpas::cuda
