#include "kernels/backend.hpp"
#include "kernels/check_shapes.hpp"
#include "kernels/cpu/matmul.hpp"
#include "kernels/ops.hpp"

namespace gpas {

bool has_native_products(Device device, Dtype dtype) {
    return dtype == Dtype::fp32 || (dtype == Dtype::bf16 && (device == Device::cuda || cpu::has_bf16_matmul()));
}

void matmul(Context& context, Tensor y, Tensor x, Tensor w) {
    check_shapes(is_floating(x) && is_floating(y) && w && w.dtype == x.dtype && (y.dtype == x.dtype || is_fp32(y)) &&
                     x.columns() == w.columns() && y.rows() == x.rows() && y.columns() == w.rows(),
                 "matmul", {{"y", y}, {"x", x}, {"w", w}});
    backend_of(context).matmul(context, y, x, w);
}

void matmul_dx(Context& context, Tensor dx, Tensor dy, Tensor w) {
    check_shapes(is_floating(dx) && dy && w && dy.dtype == dx.dtype && w.dtype == dx.dtype &&
                     dy.columns() == w.rows() && dx.rows() == dy.rows() && dx.columns() == w.columns(),
                 "matmul_dx", {{"dx", dx}, {"dy", dy}, {"w", w}});
    backend_of(context).matmul_dx(context, dx, dy, w);
}

void matmul_dw(Context& context, Tensor dw, Tensor dy, Tensor x) {
    check_shapes(is_fp32(dw) && is_floating(dy) && x && x.dtype == dy.dtype && dw.rows() == dy.columns() &&
                     dw.columns() == x.columns() && dy.rows() == x.rows(),
                 "matmul_dw", {{"dw", dw}, {"dy", dy}, {"x", x}});
    backend_of(context).matmul_dw(context, dw, dy, x);
}

void add_bias(Context& context, Tensor y, Tensor bias) {
    check_shapes(is_floating(y) && is_row(bias, y, y.dtype), "add_bias", {{"y", y}, {"bias", bias}});
    backend_of(context).add_bias(context, y, bias);
}

void bias_gradient(Context& context, Tensor dbias, Tensor dy) {
    check_shapes(is_floating(dy) && is_row(dbias, dy, Dtype::fp32), "bias_gradient", {{"dbias", dbias}, {"dy", dy}});
    backend_of(context).bias_gradient(context, dbias, dy);
}

}  // namespace gpas
