#include "engine/model/attention.hpp"

namespace gpas {

Attention::Attention(std::int64_t layer, AttentionShape shape, ParameterStore& store, Dtype dtype, Arena& arena)
    : shape_(shape) {
    const std::int64_t tokens = shape.sequence * shape.batch;
    const std::size_t qkv = store.index_of(fmt::format("layers.{}.attention.qkv.weight", layer));
    const std::size_t out = store.index_of(fmt::format("layers.{}.attention.out.weight", layer));
    w_ = {store.compute(qkv), store.compute(out)};
    dw_ = {store.gradient(qkv), store.gradient(out)};
    saved_ = {.qkv = arena.allocate(dtype, {tokens, shape.qkv_columns()}),
              .o = arena.allocate(dtype, {tokens, shape.heads * shape.head_dim}),
              .lse = arena.allocate(Dtype::fp32, {shape.batch * shape.heads, shape.sequence})};
}

void Attention::forward(Context& context, Tensor b, Tensor n, const Rotary& rotary, Tensor segment_begin) {
    matmul(context, saved_.qkv, n, w_.qkv);
    rope(context, saved_.qkv, shape_, rotary.cos, rotary.sin, false);
    attention(context, saved_.o, saved_.lse, saved_.qkv, shape_, segment_begin);
    matmul(context, b, saved_.o, w_.out);
}

void Attention::backward(Context& context, Tensor dn, Tensor db, Tensor n, const Rotary& rotary, Tensor segment_begin,
                         const AttentionBuffers& buffers) {
    const auto [d_o, dqkv] = buffers;
    matmul_dw(context, dw_.out, db, saved_.o);  // b = o Woutᵀ
    matmul_dx(context, d_o, db, w_.out);
    attention_backward(context, dqkv, d_o, saved_.o, saved_.lse, saved_.qkv, shape_, segment_begin);
    rope(context, dqkv, shape_, rotary.cos, rotary.sin, true);
    matmul_dw(context, dw_.qkv, dqkv, n);  // qkv = n Wqkvᵀ
    matmul_dx(context, dn, dqkv, w_.qkv);
}

}  // namespace gpas
