#include "kernels/backend.hpp"
#include "kernels/check_shapes.hpp"
#include "kernels/cuda/gpu.hpp"
#include "kernels/ops.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace gpas {

void adamw(Context& context, std::span<const AdamwPiece> pieces, const AdamwStep& step) {
    check_shapes(!step.taken || is_sum(step.taken), "adamw", {{"taken", step.taken}});
    for (const auto& [w, m, v, compute, gradient, decay, factor] : pieces) {
        const std::int64_t count = w.elements();
        check_shapes(is_fp32(w) && is_fp32(m) && is_fp32(v) && is_fp32(gradient) && m.elements() == count &&
                         v.elements() == count && gradient.elements() == count &&
                         (!compute || (compute.dtype == Dtype::bf16 && compute.elements() == count)) &&
                         (!factor || is_sum(factor)),
                     "adamw",
                     {{"w", w}, {"m", m}, {"v", v}, {"compute", compute}, {"gradient", gradient}, {"factor", factor}});
    }
    backend_of(context).adamw(context, pieces, step);
}

void squared_norm(Context& context, Tensor sum, std::span<const Tensor> xs) {
    for (const Tensor& x : xs) check_shapes(is_sum(sum) && is_floating(x), "squared_norm", {{"sum", sum}, {"x", x}});
    backend_of(context).squared_norm(context, sum, xs);
}

std::int64_t first_non_finite(Context& context, Tensor x) {
    check_shapes(is_floating(x), "first_non_finite", {{"x", x}});
    return backend_of(context).first_non_finite(context, x);
}

std::uint64_t fingerprint(Context& context, Tensor x) {
    check_shapes(is_floating(x), "fingerprint", {{"x", x}});
    return backend_of(context).fingerprint(context, x);
}

void cast(Context& context, Tensor y, Tensor x) {
    check_shapes(is_floating(x) && is_floating(y) && x.elements() == y.elements(), "cast", {{"y", y}, {"x", x}});
    backend_of(context).cast(context, y, x);
}

void fill(Context& context, Tensor x, float value) {
    check_shapes(is_floating(x), "fill", {{"x", x}});
    backend_of(context).fill(context, x, value);
}

void scale(Context& context, Tensor y, float factor) {
    check_shapes(is_floating(y), "scale", {{"y", y}});
    backend_of(context).scale(context, y, factor);
}

// The host draws the numbers for every device, so a seed gives bitwise the same initial weights on CPU and GPU.
void fill_normal(Context& context, Tensor x, std::uint64_t key, std::int64_t first_element, float stddev) {
    check_shapes(is_fp32(x) && first_element >= 0, "fill_normal", {{"x", x}});
    if (context.on_cpu()) return cpu::fill_normal(context, x, key, first_element, stddev);
    constexpr std::int64_t most = std::int64_t(1) << 22;
    std::vector<float> values(std::size_t(std::min(most, x.elements())));
    const Tensor flat = x.view({x.elements()});
    for (std::int64_t begin = 0; begin < x.elements(); begin += most) {
        const std::int64_t end = std::min(begin + most, x.elements());
        const Tensor drawn(values.data(), Dtype::fp32, {end - begin});
        cpu::fill_normal(context, drawn, key, first_element + begin, stddev);
        copy(context, flat.slice(begin, end), drawn);
    }
}

void clear(Context& context, Tensor x) {
    if (context.on_cpu())
        std::memset(x.data, 0, std::size_t(x.bytes()));
    else
        context.gpu().set_bytes(x.data, 0, x.bytes());
}

void copy(Context& context, Tensor y, Tensor x) {
    check_shapes(x && y && x.dtype == y.dtype && x.elements() == y.elements(), "copy", {{"y", y}, {"x", x}});
    if (x.device == Device::cpu && y.device == Device::cpu)
        std::memmove(y.data, x.data, std::size_t(x.bytes()));
    else if (x.device == y.device)
        context.gpu().copy_on_device(y.data, x.data, x.bytes());
    else if (y.device == Device::cuda)
        context.gpu().copy_to_device(y.data, x.data, x.bytes());
    else
        context.gpu().copy_to_host(y.data, x.data, x.bytes());
}

}  // namespace gpas
