// Cross entropy over chunks of logits. Bound by memory bandwidth: the statistics read the logits once; backward reads
// the logits once and writes their gradient once.
#include "kernels/backend.hpp"

#include "kernels/cuda/launch_flat.hpp"

namespace gpas::cuda {
namespace {

constexpr int row_block = 512;  // threads that share a row of logits
constexpr float log2_e = 1.44269504088896341F;
// Below every logit, and finite, so that least - least is 0 and not NaN.
constexpr float least = -3.0e38F;

GPAS_DEVICE float fast_exp(float x) { return exp2_fast(x * log2_e); }

// Online softmax statistics of the numbers added so far: their maximum, and Σ exp(x - maximum).
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

// Maximum over a block of whole warps, for every thread. parts: shared memory, one float per warp, as for block_sum().
GPAS_DEVICE float block_max(float x, float* parts) {
    x = warp_max(x);
    const int lane = int(threadIdx.x) % warp_size;
    if (lane == 0) parts[int(threadIdx.x) / warp_size] = x;
    __syncthreads();
    return warp_max(lane < int(blockDim.x) / warp_size ? parts[lane] : least);
}

// stats[t] (=) of cross_entropy_stats(). One block per row of logits.
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
        unrolled<V>([&](int v) { add(mine, pack.v[v]); });
    }
    const float most = block_max(mine.most, max_parts);
    const float sum = block_sum(mine.sum * fast_exp(mine.most - most), sum_parts);
    if (threadIdx.x != 0) return;
    const std::int64_t label = std::int64_t(labels[t]) - first_column;
    stats[3 * t] = most;
    stats[3 * t + 1] = sum;
    stats[3 * t + 2] = 0 <= label && label < columns ? row[label] : 0.0F;
}

// stats[t] (=) of cross_entropy_combine(). One thread per token.
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

// *total += loss of all rows. One block is enough, because a chunk has a few hundred rows.
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads)
    loss_kernel(double* total, const float* stats, const std::int32_t* labels, std::int64_t rows) {
    SHARED_ARRAY(double, parts, warp_size);
    double sum = 0.0;
    for (std::int64_t t = threadIdx.x; t < rows; t += blockDim.x)
        if (labels[t] >= 0) sum += (double(stats[3 * t]) - double(stats[3 * t + 2])) + log(double(stats[3 * t + 1]));
    sum = block_sum(sum, parts);
    if (threadIdx.x == 0) *total += sum;
}

// losses[t] (=) of cross_entropy_token_losses(). One thread per token.
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads)
    token_losses_kernel(double* losses, const float* stats, const std::int32_t* labels, std::int64_t rows) {
    const std::int64_t t = flat_index(1);
    if (t >= rows) return;
    losses[t] =
        labels[t] >= 0 ? (double(stats[3 * t]) - double(stats[3 * t + 2])) + log(double(stats[3 * t + 1])) : 0.0;
}

// One block per row. Each thread reads only the elements of logits that it overwrites itself, so dlogits may be logits.
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
        unrolled<V>([&](int v) {
            // The gradient of a row without a label is set to 0. A product with 0 would turn Inf or NaN into NaN.
            float d = label >= 0 ? share * fast_exp(in.v[v] - most) : 0.0F;
            if (label >= 0 && c + v + first_column == label) d -= factor;
            out.v[v] = from_float<T>(d);
        });
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

void cross_entropy_token_losses(Context& context, Tensor losses, Tensor stats, Tensor labels) {
    const std::int64_t rows = labels.elements();
    launch(context.gpu(), {.grid = blocks_of(rows, 1), .threads = flat_threads}, token_losses_kernel,
           losses.as<double>(), stats.as<float>(), labels.as<std::int32_t>(), rows);
}

void cross_entropy_backward(Context& context, const CrossEntropyBackwardArgs& args) {
    const auto& [dlogits, logits, stats, labels, first_column, factor] = args;
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
