// Sum and sum of squares of the residual stream. Bound by memory bandwidth: each element is read once.
#include "kernels/backend.hpp"

#include "kernels/cuda/device/gate.cuh"
#include "kernels/cuda/launch_flat.hpp"
#include "kernels/cuda/scratch.hpp"

#include <vector>

namespace gpas::cuda {
namespace {

// parts[block] = (Σ k x, Σ k² x²) over the block's elements
template <class T, int V>
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads) moments_kernel(double* parts, ResidualStream h, std::int64_t count) {
    SHARED_ARRAY(double, first_parts, warp_size);
    SHARED_ARRAY(double, second_parts, warp_size);
    const T* x = static_cast<const T*>(h.x.data);
    double first = 0.0;
    double second = 0.0;
    const std::int64_t step = std::int64_t(gridDim.x) * blockDim.x * V;
    for (std::int64_t i = flat_index(V); i < count; i += step) {
        const auto pack = load_pack<V>(x + i);
        float sum = 0.0F;
        float squares = 0.0F;
        unrolled<V>([&](int v) {
            sum += to_float(pack.v[v]);
            squares += to_float(pack.v[v]) * to_float(pack.v[v]);
        });
        first += double(sum);
        second += double(squares);
    }
    const double k = double(gate_factor(h.gate));
    first = block_sum(first, first_parts);
    second = block_sum(second, second_parts);
    if (threadIdx.x != 0) return;
    parts[2 * std::int64_t(blockIdx.x)] = k * first;
    parts[2 * std::int64_t(blockIdx.x) + 1] = k * k * second;
}

}  // namespace

Moments moments(Context& context, ResidualStream h) {
    Moments total{.count = h.x.elements()};
    if (total.count == 0) return total;
    const Arena::Scope scope(context.scratch());
    visit_flat(h.x, aligned_16({h.x.data}), [&](auto zero, auto v) {
        using T = decltype(zero);
        const std::int64_t blocks = blocks_for_elements(total.count, v);
        auto* parts = scratch_array<double>(context, 2 * blocks);
        launch(context.gpu(), {.grid = unsigned(blocks), .threads = flat_threads}, moments_kernel<T, v()>, parts, h,
               total.count);
        std::vector<double> sums(std::size_t(2 * blocks));
        context.gpu().copy_to_host(sums.data(), parts, std::int64_t(sums.size() * sizeof(double)));
        for (std::size_t i = 0; i < sums.size(); i += 2) {
            total.sum += sums[i];
            total.sum_of_squares += sums[i + 1];
        }
    });
    return total;
}

}  // namespace gpas::cuda
