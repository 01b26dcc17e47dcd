#include "kernels/backend.hpp"
#include "kernels/check_shapes.hpp"
#include "kernels/ops.hpp"

namespace gpas {
namespace {

void check_norm(const char* operation, const Tensor& n, const Tensor& rstd, const Tensor& x, const Tensor& w) {
    check_shapes(same(n, x) && one_per_row(rstd, x) && is_row(w, x, x.dtype), operation,
                 {{"n", n}, {"rstd", rstd}, {"x", x}, {"w", w}});
}

}  // namespace

double Moments::variance() const {
    if (count == 0) return 0.0;
    const double mean = sum / double(count);
    return sum_of_squares / double(count) - mean * mean;
}

void rmsnorm(Context& context, Tensor n, Tensor rstd, ResidualStream h, Norm norm) {
    check_norm("rmsnorm", n, rstd, h.x, norm.w);
    backend_of(context).rmsnorm(context, n, rstd, h, norm);
}

void rmsnorm_replay(Context& context, Tensor n, Tensor rstd, ResidualStream h, Norm norm) {
    check_norm("rmsnorm_replay", n, rstd, h.x, norm.w);
    backend_of(context).rmsnorm_replay(context, n, rstd, h, norm);
}

void residual(Context& context, const ResidualArgs& args) {
    const auto& [x2, n, rstd, r, h, b, out, norm] = args;
    check_shapes(same(x2, h.x) && same(x2, b), "residual", {{"x2", x2}, {"x", h.x}, {"b", b}});
    if (n) check_norm("residual", n, rstd, x2, norm.w);
    backend_of(context).residual(context, args);
}

void rmsnorm_backward(Context& context, const RmsnormBackwardArgs& args) {
    const auto& [d, dw, dgate, dn, r, h, rstd, norm] = args;
    check_norm("rmsnorm_backward", dn, rstd, h.x, norm.w);
    check_shapes(same(d, h.x) && (!dw || is_row(dw, d, Dtype::fp32)) && (d.data != dn.data || r.alpha == 0.0F),
                 "rmsnorm_backward", {{"d", d}, {"dw", dw}, {"dn", dn}, {"x", h.x}});
    backend_of(context).rmsnorm_backward(context, args);
}

void residual_backward(Context& context, const ResidualBackwardArgs& args) {
    const auto& [d, dgate, db, r, h] = args;
    check_shapes(same(d, h.x) && (!db || same(db, d)), "residual_backward", {{"d", d}, {"db", db}, {"x", h.x}});
    backend_of(context).residual_backward(context, args);
}

void apply_gate(Context& context, Tensor y, ResidualStream h) {
    check_shapes(same(y, h.x), "apply_gate", {{"y", y}, {"x", h.x}});
    backend_of(context).apply_gate(context, y, h);
}

Moments moments(Context& context, ResidualStream h) {
    check_shapes(is_floating(h.x), "moments", {{"x", h.x}});
    return backend_of(context).moments(context, h);
}

}  // namespace gpas
