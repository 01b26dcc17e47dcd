#include "kernels/backend.hpp"
#include "kernels/check_shapes.hpp"
#include "kernels/ops.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace gpas {
namespace {

bool holds(const AttentionShape& s, const Tensor& qkv) {
    return is_floating(qkv) && s.heads > 0 && s.kv_heads > 0 && s.heads % s.kv_heads == 0 && s.head_dim % 2 == 0 &&
           s.window >= 0 && qkv.elements() == s.sequence * s.batch * s.qkv_columns();
}

bool is_output(const Tensor& o, const AttentionShape& s, const Tensor& qkv) {
    return o && o.dtype == qkv.dtype && o.elements() == s.sequence * s.batch * s.heads * s.head_dim;
}

bool is_lse(const Tensor& lse, const AttentionShape& s) {
    return is_fp32(lse) && lse.elements() == s.batch * s.heads * s.sequence;
}

bool is_segment(const Tensor& begin, const AttentionShape& s) {
    return !begin || (begin.dtype == Dtype::int32 && begin.elements() == s.sequence * s.batch);
}

bool is_table(const Tensor& table, const AttentionShape& s) {
    return is_fp32(table) && table.columns() == s.head_dim / 2 && table.rows() >= s.sequence;
}

}  // namespace

double RopeFrequencies::at(std::int64_t i, std::int64_t half) const {
    const double frequency = std::pow(base, -double(i) / double(half));
    if (factor == 1.0) return frequency;
    const double wavelength = 2.0 * std::numbers::pi / frequency;
    const double s = std::clamp((original_length / wavelength - low_freq) / (high_freq - low_freq), 0.0, 1.0);
    return (1.0 - s) * frequency / factor + s * frequency;
}

void rope_table(Context& context, Tensor cos, Tensor sin, const RopeFrequencies& frequencies) {
    check_shapes(is_fp32(cos) && same(cos, sin), "rope_table", {{"cos", cos}, {"sin", sin}});
    if (context.on_cpu()) return cpu::rope_table(context, cos, sin, frequencies);
    std::vector<float> tables(std::size_t(2 * cos.elements()));
    const Tensor c(tables.data(), Dtype::fp32, {cos.rows(), cos.columns()});
    const Tensor s(tables.data() + cos.elements(), Dtype::fp32, {cos.rows(), cos.columns()});
    cpu::rope_table(context, c, s, frequencies);
    copy(context, cos, c);
    copy(context, sin, s);
}

void rope(Context& context, Tensor qkv, AttentionShape shape, Tensor cos, Tensor sin, bool inverse) {
    check_shapes(holds(shape, qkv) && is_table(cos, shape) && is_table(sin, shape), "rope",
                 {{"qkv", qkv}, {"cos", cos}, {"sin", sin}});
    backend_of(context).rope(context, qkv, shape, cos, sin, inverse);
}

void attention(Context& context, const AttentionArgs& args) {
    const auto& [o, lse, qkv, shape, segment_begin] = args;
    check_shapes(
        holds(shape, qkv) && is_output(o, shape, qkv) && is_lse(lse, shape) && is_segment(segment_begin, shape),
        "attention", {{"o", o}, {"lse", lse}, {"qkv", qkv}, {"segment_begin", segment_begin}});
    backend_of(context).attention(context, args);
}

void attention_last(Context& context, Tensor o, Tensor qkv, AttentionShape shape) {
    check_shapes(holds(shape, qkv) && shape.sequence > 0 && o && o.dtype == qkv.dtype &&
                     o.elements() == shape.batch * shape.heads * shape.head_dim,
                 "attention_last", {{"o", o}, {"qkv", qkv}});
    backend_of(context).attention_last(context, o, qkv, shape);
}

void attention_backward(Context& context, const AttentionBackwardArgs& args) {
    const auto& [dqkv, d_o, o, lse, qkv, shape, segment_begin] = args;
    check_shapes(
        holds(shape, qkv) && same(dqkv, qkv) && dqkv.data != qkv.data && is_output(o, shape, qkv) && same(d_o, o) &&
            is_lse(lse, shape) && is_segment(segment_begin, shape),
        "attention_backward",
        {{"dqkv", dqkv}, {"d_o", d_o}, {"o", o}, {"lse", lse}, {"qkv", qkv}, {"segment_begin", segment_begin}});
    backend_of(context).attention_backward(context, args);
}

}  // namespace gpas
