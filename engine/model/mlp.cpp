#include "engine/model/mlp.hpp"

namespace gpas {

Mlp::Mlp(const ModelConfig& model, std::int64_t layer, std::int64_t tokens, ParameterStore& store, Dtype dtype,
         Arena& arena) {
    const std::size_t gate_up = store.index_of(fmt::format("layers.{}.mlp.gate_up.weight", layer));
    const std::size_t down = store.index_of(fmt::format("layers.{}.mlp.down.weight", layer));
    w_ = {store.compute(gate_up), store.compute(down)};
    dw_ = {store.gradient(gate_up), store.gradient(down)};
    gate_up_ = arena.allocate(dtype, {tokens, 2 * model.ffn_size});
}

void Mlp::forward(Context& context, Tensor b, Tensor n, const MlpBuffers& buffers) {
    matmul(context, gate_up_, n, w_.gate_up);
    swiglu(context, buffers.act, gate_up_);
    matmul(context, b, buffers.act, w_.down);
}

void Mlp::backward(Context& context, Tensor dn, Tensor db, Tensor n, const MlpBuffers& buffers) {
    const Tensor act = buffers.act;
    const Tensor dact = buffers.act;  // in its place: act is done with by then
    const Tensor dgate_up = gate_up_;
    swiglu(context, act, gate_up_);         // cheaper to compute again than to keep
    matmul_dw(context, dw_.down, db, act);  // b = act Wdownᵀ
    matmul_dx(context, dact, db, w_.down);
    swiglu_backward(context, dgate_up, dact, gate_up_);
    matmul_dw(context, dw_.gate_up, dgate_up, n);  // gate_up = n Wgate_upᵀ
    matmul_dx(context, dn, dgate_up, w_.gate_up);
}

}  // namespace gpas
