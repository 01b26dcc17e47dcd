// Biases of linear layers. Bound by memory bandwidth.
#include "kernels/backend.hpp"

#include "kernels/cuda/launch_flat.hpp"
#include "kernels/cuda/residual_sums.cuh"

namespace gpas::cuda {
namespace {

// y += bias. A thread has V columns of a row. columns % V == 0.
template <class T, int V>
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads)
    add_bias_kernel(T* y, const T* bias, std::int64_t elements, std::int64_t columns) {
    const std::int64_t i = flat_index(V);
    if (i >= elements) return;
    auto out = load_pack<V>(y + i);
    const auto b = load_pack<V>(bias + i % columns);
    unrolled<V>([&](int v) { out.v[v] = from_float<T>(to_float(out.v[v]) + to_float(b.v[v])); });
    store_pack(y + i, out);
}

// partial [gridDim.x][columns] (=): sums over the rows block, block + blocks, …. A thread has V columns; blockIdx.y is
// the tile of columns.
template <class T, int V>
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads)
    bias_gradient_kernel(float* partial, const T* dy, std::int64_t rows, std::int64_t columns) {
    const std::int64_t column = (std::int64_t(blockIdx.y) * blockDim.x + threadIdx.x) * V;
    if (column >= columns) return;
    float sum[V] = {};
    for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        const auto d = load_pack<V>(dy + row * columns + column);
        unrolled<V>([&](int v) { sum[v] += to_float(d.v[v]); });
    }
    unrolled<V>([&](int v) { partial[blockIdx.x * columns + column + v] = sum[v]; });
}

}  // namespace

void add_bias(Context& context, Tensor y, Tensor bias) {
    if (y.elements() == 0) return;
    visit_width(y.dtype, aligned_16({y.data, bias.data}) && whole_packs(y), [&](auto zero, auto v) {
        using T = decltype(zero);
        launch(context.gpu(), {.grid = blocks_of(y.elements(), v), .threads = flat_threads}, add_bias_kernel<T, v()>,
               y.as<T>(), bias.as<T>(), y.elements(), y.columns());
    });
}

void bias_gradient(Context& context, Tensor dbias, Tensor dy) {
    if (dy.elements() == 0) return;
    const std::int64_t rows = dy.rows(), columns = dy.columns();
    const Arena::Scope scope(context.scratch());
    const std::int64_t blocks = blocks_for_column_sums(rows);
    const Partials parts = partials(context, blocks, columns, {});
    visit_width(dy.dtype, aligned_16({dy.data}) && whole_packs(dy), [&](auto zero, auto v) {
        using T = decltype(zero);
        launch(context.gpu(), {.grid = dim3(unsigned(blocks), blocks_of(columns, v)), .threads = flat_threads},
               bias_gradient_kernel<T, v()>, parts.dw, dy.as<T>(), rows, columns);
    });
    finish_sums(context, dbias.view({columns}), {}, parts, blocks, {}, {});
}

}  // namespace gpas::cuda
