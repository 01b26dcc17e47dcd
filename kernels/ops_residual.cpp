#include "kernels/check_shapes.hpp"
#include "kernels/cpu/residual.hpp"
#include "kernels/cuda/residual.hpp"
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
    context.on_cpu() ? cpu::rmsnorm(context, n, rstd, h, norm, false) : cuda::rmsnorm(context, n, rstd, h, norm, false);
}

void rmsnorm_replay(Context& context, Tensor n, Tensor rstd, ResidualStream h, Norm norm) {
    check_norm("rmsnorm_replay", n, rstd, h.x, norm.w);
    context.on_cpu() ? cpu::rmsnorm(context, n, rstd, h, norm, true) : cuda::rmsnorm(context, n, rstd, h, norm, true);
}

void residual(Context& context, Tensor x2, Residual r, ResidualStream h, Tensor b) {
    check_shapes(same(x2, h.x) && same(x2, b), "residual", {{"x2", x2}, {"x", h.x}, {"b", b}});
    context.on_cpu() ? cpu::residual(context, x2, {}, {}, r, h, b, {}, {})
                     : cuda::residual(context, x2, {}, {}, r, h, b, {}, {});
}

void residual_rmsnorm(Context& context, Tensor x2, Tensor n, Tensor rstd, Residual r, ResidualStream h, Tensor b,
                      Gate out, Norm norm) {
    check_shapes(same(x2, h.x) && same(x2, b), "residual_rmsnorm", {{"x2", x2}, {"x", h.x}, {"b", b}});
    check_norm("residual_rmsnorm", n, rstd, x2, norm.w);
    context.on_cpu() ? cpu::residual(context, x2, n, rstd, r, h, b, out, norm)
                     : cuda::residual(context, x2, n, rstd, r, h, b, out, norm);
}

void rmsnorm_backward(Context& context, Tensor d, Tensor dw, GateGradients dgate, Tensor dn, Residual r,
                      ResidualStream h, Tensor rstd, Norm norm) {
    check_norm("rmsnorm_backward", dn, rstd, h.x, norm.w);
    check_shapes(same(d, h.x) && (!dw || is_row(dw, d, Dtype::fp32)) && (d.data != dn.data || r.alpha == 0.0F),
                 "rmsnorm_backward", {{"d", d}, {"dw", dw}, {"dn", dn}, {"x", h.x}});
    context.on_cpu() ? cpu::rmsnorm_backward(context, d, dw, dgate, dn, r, h, rstd, norm)
                     : cuda::rmsnorm_backward(context, d, dw, dgate, dn, r, h, rstd, norm);
}

void residual_backward(Context& context, Tensor d, GateGradients dgate, Tensor db, Residual r, ResidualStream h) {
    check_shapes(same(d, h.x) && (!db || same(db, d)), "residual_backward", {{"d", d}, {"db", db}, {"x", h.x}});
    context.on_cpu() ? cpu::residual_backward(context, d, dgate, db, r, h)
                     : cuda::residual_backward(context, d, dgate, db, r, h);
}

void apply_gate(Context& context, Tensor y, ResidualStream h) {
    check_shapes(same(y, h.x), "apply_gate", {{"y", y}, {"x", h.x}});
    context.on_cpu() ? cpu::apply_gate(context, y, h) : cuda::apply_gate(context, y, h);
}

Moments moments(Context& context, ResidualStream h) {
    check_shapes(is_floating(h.x), "moments", {{"x", h.x}});
    return context.on_cpu() ? cpu::moments(context, h) : cuda::moments(context, h);
}

}  // namespace gpas
