#include "engine/model/linear.hpp"

#include "kernels/ops.hpp"

#include <algorithm>

namespace gpas {

Linear linear(const ParameterStore& store, const std::string& name) {
    const std::size_t weight = store.index_of(name + ".weight");
    Linear layer{.w = store.compute(weight), .bias = {}, .dw = store.gradient(weight), .dbias = {}};
    if (!store.contains(name + ".bias")) return layer;
    const std::size_t bias = store.index_of(name + ".bias");
    layer.bias = store.compute(bias);
    layer.dbias = store.gradient(bias);
    return layer;
}

void column_product(Context& context, Tensor y, Tensor x, const Linear& layer) {
    matmul(context, y, x, layer.w);
    if (layer.bias) add_bias(context, y, layer.bias);
}

void column_gradient(Context& context, const Linear& layer, Tensor dy, Tensor x) {
    matmul_dw(context, layer.dw, dy, x);
    if (layer.bias) bias_gradient(context, layer.dbias, dy);
}

void add_row_bias(Context& context, Tensor y, const Linear& layer, std::int64_t token_rows) {
    if (layer.bias) add_bias(context, y.slice(0, std::min(token_rows, y.rows())), layer.bias);
}

void row_bias_gradient(Context& context, const Linear& layer, Tensor dy) {
    if (layer.bias) bias_gradient(context, layer.dbias, dy);
}

}  // namespace gpas
