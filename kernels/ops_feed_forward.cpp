#include "kernels/backend.hpp"
#include "kernels/check_shapes.hpp"
#include "kernels/ops.hpp"

namespace gpas {
namespace {

bool one_id_per_row(const Tensor& ids, const Tensor& h) {
    return ids && ids.dtype == Dtype::int32 && ids.elements() == h.rows();
}

bool halves(const Tensor& gate_up, const Tensor& act) {
    return is_floating(act) && gate_up && gate_up.dtype == act.dtype && gate_up.rows() == act.rows() &&
           gate_up.columns() == 2 * act.columns();
}

}  // namespace

void embedding(Context& context, Tensor h, Tensor w, Tensor ids, std::int64_t first_row) {
    check_shapes(is_floating(h) && w && w.dtype == h.dtype && w.columns() == h.columns() && one_id_per_row(ids, h),
                 "embedding", {{"h", h}, {"w", w}, {"ids", ids}});
    backend_of(context).embedding(context, h, w, ids, first_row);
}

void embedding_backward(Context& context, Tensor dw, Tensor dh, Tensor ids, std::int64_t first_row) {
    check_shapes(is_fp32(dw) && is_floating(dh) && dw.columns() == dh.columns() && one_id_per_row(ids, dh),
                 "embedding_backward", {{"dw", dw}, {"dh", dh}, {"ids", ids}});
    backend_of(context).embedding_backward(context, dw, dh, ids, first_row);
}

void swiglu(Context& context, Tensor act, Tensor gate_up) {
    check_shapes(halves(gate_up, act), "swiglu", {{"act", act}, {"gate_up", gate_up}});
    backend_of(context).swiglu(context, act, gate_up);
}

void swiglu_backward(Context& context, Tensor dgate_up, Tensor dact, Tensor gate_up) {
    check_shapes(halves(gate_up, dact) && same(dgate_up, gate_up), "swiglu_backward",
                 {{"dgate_up", dgate_up}, {"dact", dact}, {"gate_up", gate_up}});
    backend_of(context).swiglu_backward(context, dgate_up, dact, gate_up);
}

}  // namespace gpas
