#include "kernels/backend.hpp"
#include "kernels/check_shapes.hpp"

namespace gpas {
namespace {

bool holds_heads(const QkNorm& norm, const Tensor& qkv) {
    const AttentionShape& s = norm.attention;
    return is_floating(qkv) && s.kv_heads > 0 && s.heads % s.kv_heads == 0 && qkv.columns() == s.qkv_columns();
}

bool is_statistic(const Tensor& x, const QkNorm& norm, const Tensor& qkv) {
    return is_fp32(x) && x.columns() == norm.spans() && x.rows() == qkv.rows();
}

bool is_raw(const Tensor& raw, const QkNorm& norm, const Tensor& qkv) {
    return raw && raw.dtype == qkv.dtype && raw.columns() == norm.columns() && raw.rows() == qkv.rows();
}

bool are_weights(const Tensor& query, const Tensor& key, const QkNorm& norm, Dtype dtype) {
    const AttentionShape& s = norm.attention;
    return query && key && query.dtype == dtype && key.dtype == dtype &&
           query.elements() == (norm.whole ? s.heads : 1) * s.head_dim &&
           key.elements() == (norm.whole ? s.kv_heads : 1) * s.head_dim;
}

}  // namespace

void qk_squares(Context& context, Tensor squares, Tensor qkv, const QkNorm& norm) {
    check_shapes(holds_heads(norm, qkv) && is_statistic(squares, norm, qkv), "qk_squares",
                 {{"squares", squares}, {"qkv", qkv}});
    backend_of(context).qk_squares(context, squares, qkv, norm);
}

void qk_norm(Context& context, Tensor qkv, Tensor raw, Tensor squares, const QkNorm& norm) {
    check_shapes(holds_heads(norm, qkv) && is_statistic(squares, norm, qkv) && (!raw || is_raw(raw, norm, qkv)) &&
                     are_weights(norm.query, norm.key, norm, qkv.dtype),
                 "qk_norm",
                 {{"qkv", qkv}, {"raw", raw}, {"squares", squares}, {"query", norm.query}, {"key", norm.key}});
    backend_of(context).qk_norm(context, qkv, raw, squares, norm);
}

void qk_dots(Context& context, Tensor dots, Tensor dqkv, Tensor raw, const QkNorm& norm) {
    check_shapes(holds_heads(norm, dqkv) && is_statistic(dots, norm, dqkv) && is_raw(raw, norm, dqkv) &&
                     are_weights(norm.query, norm.key, norm, dqkv.dtype),
                 "qk_dots", {{"dots", dots}, {"dqkv", dqkv}, {"raw", raw}, {"query", norm.query}, {"key", norm.key}});
    backend_of(context).qk_dots(context, dots, dqkv, raw, norm);
}

void qk_norm_backward(Context& context, const QkNormBackwardArgs& args) {
    const auto& [dqkv, dquery, dkey, raw, squares, dots, norm] = args;
    check_shapes(holds_heads(norm, dqkv) && is_raw(raw, norm, dqkv) && is_statistic(squares, norm, dqkv) &&
                     is_statistic(dots, norm, dqkv) && are_weights(norm.query, norm.key, norm, dqkv.dtype) &&
                     are_weights(dquery, dkey, norm, Dtype::fp32),
                 "qk_norm_backward",
                 {{"dqkv", dqkv}, {"dquery", dquery}, {"dkey", dkey}, {"raw", raw}, {"squares", squares}});
    backend_of(context).qk_norm_backward(context, args);
}

}  // namespace gpas
