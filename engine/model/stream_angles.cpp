#include "engine/model/stream_angles.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace gpas {
namespace {

// k = 1 - s(g) of a gate in the memory of the context's device; 1 without a gate.
float factor_of_gate(Context& context, const Gate& gate, Device device) {
    if (!gate) return 1.0F;
    float g = 0.0F;
    copy(context, Tensor(&g, Dtype::fp32, {1}),
         Tensor(const_cast<float*>(gate.g), Dtype::fp32, {1}, device));  // read only
    return 1.0F - gate_value(gate.function, g, gate.scale);
}

template <class T>
std::vector<T> host_copy(Context& context, const Tensor& x) {
    std::vector<T> values(std::size_t(x.elements()));
    copy(context, Tensor(values.data(), x.dtype, {x.elements()}), x);
    return values;
}

// h = k x in fp32, on the host.
std::vector<float> stream_values(Context& context, const ResidualStream& h) {
    const float k = factor_of_gate(context, h.gate, h.x.device);
    std::vector<float> values;
    if (h.x.dtype == Dtype::bf16)
        for (const bf16 x : host_copy<bf16>(context, h.x)) values.push_back(float(x));
    else
        values = host_copy<float>(context, h.x);
    for (float& value : values) value *= k;
    return values;
}

double distance_of(const float* a, const float* b, std::int64_t columns) {
    double dot = 0.0, squares_a = 0.0, squares_b = 0.0;
    for (std::int64_t i = 0; i < columns; ++i) {
        dot += double(a[i]) * double(b[i]);
        squares_a += double(a[i]) * double(a[i]);
        squares_b += double(b[i]) * double(b[i]);
    }
    if (squares_a == 0.0 || squares_b == 0.0) return 0.5;
    return std::acos(std::clamp(dot / (std::sqrt(squares_a) * std::sqrt(squares_b)), -1.0, 1.0)) / std::numbers::pi;
}

}  // namespace

void StreamAngles::begin(Context& context, const ResidualStream& h, Tensor labels, std::int64_t first_row) {
    const std::vector<std::int32_t> all = host_copy<std::int32_t>(context, labels);
    const std::int64_t rows = std::min(h.x.rows(), std::int64_t(all.size()) - first_row);
    counted_.clear();
    for (std::int64_t row = 0; row < rows; ++row)
        if (all[std::size_t(first_row + row)] != -1) counted_.push_back(row);
    before_ = stream_values(context, h);
}

void StreamAngles::after(Context& context, std::int64_t layer, const ResidualStream& h) {
    std::vector<float> now = stream_values(context, h);
    const std::int64_t columns = h.x.columns();
    Sum& sum = sums_[std::size_t(layer)];
    for (const std::int64_t row : counted_)
        sum.distance += distance_of(before_.data() + row * columns, now.data() + row * columns, columns);
    sum.tokens += std::int64_t(counted_.size());
    before_ = std::move(now);
}

}  // namespace gpas
