#include "kernels/check_shapes.hpp"
#include "kernels/cpu/flat.hpp"
#include "kernels/ops.hpp"

namespace gpas {

void adamw(Context& context, Tensor w, Tensor m, Tensor v, Tensor compute, Tensor gradient, const AdamwStep& step) {
    const std::int64_t count = w.elements();
    check_shapes(is_fp32(w) && is_fp32(m) && is_fp32(v) && is_fp32(gradient) && m.elements() == count &&
                     v.elements() == count && gradient.elements() == count &&
                     (!compute || (compute.dtype == Dtype::bf16 && compute.elements() == count)),
                 "adamw", {{"w", w}, {"m", m}, {"v", v}, {"compute", compute}, {"gradient", gradient}});
    cpu::adamw(context, w, m, v, compute, gradient, step);
}

double squared_norm(Context& context, Tensor x) {
    check_shapes(is_floating(x), "squared_norm", {{"x", x}});
    return cpu::squared_norm(context, x);
}

std::int64_t first_non_finite(Context& context, Tensor x) {
    check_shapes(is_floating(x), "first_non_finite", {{"x", x}});
    return cpu::first_non_finite(context, x);
}

void cast(Context& context, Tensor y, Tensor x) {
    check_shapes(is_floating(x) && is_floating(y) && x.elements() == y.elements(), "cast", {{"y", y}, {"x", x}});
    cpu::cast(context, y, x);
}

void fill(Context& context, Tensor x, float value) {
    check_shapes(is_floating(x), "fill", {{"x", x}});
    cpu::fill(context, x, value);
}

void scale(Context& context, Tensor y, float factor) {
    check_shapes(is_floating(y), "scale", {{"y", y}});
    cpu::scale(context, y, factor);
}

void fill_normal(Context& context, Tensor x, std::uint64_t key, std::int64_t first_element, float std) {
    check_shapes(is_fp32(x) && first_element >= 0, "fill_normal", {{"x", x}});
    cpu::fill_normal(context, x, key, first_element, std);
}

}  // namespace gpas
