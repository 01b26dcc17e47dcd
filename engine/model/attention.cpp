#include "engine/model/attention.hpp"

#include "base/error.hpp"

namespace gpas {

Attention::Attention(const ModelConfig& model, std::int64_t layer, const ModelShape& shape, ParameterStore& store,
                     Arena& saved, Arena& kept)
    : shape_(attention_shape(model, shape)),
      token_rows_(shape.token_rows()),
      head_norms_(model, fmt::format("layers.{}.attention.", layer), shape, store, saved) {
    const std::int64_t tokens = shape.tokens();
    const std::string prefix = fmt::format("layers.{}.attention.", layer);
    qkv_ = linear(store, prefix + "qkv");
    out_ = linear(store, prefix + "out");
    saved_ = {.qkv = saved.allocate(shape.dtype, {tokens, shape_.qkv_columns()}),
              .o = saved.allocate(shape.dtype, {tokens, shape_.heads * shape_.head_dim}),
              .lse = saved.allocate(Dtype::fp32, {shape_.batch * shape_.heads, shape_.sequence})};
    if (shape.split_backward)
        deferred_ = {.db = kept.allocate(shape.dtype, {shape.rows(), model.hidden_size}),
                     .dqkv = kept.allocate(shape.dtype, {tokens, shape_.qkv_columns()})};
}

void Attention::forward_inner(const LayerContext& shared, Tensor n, Tensor segment_begin) {
    const auto& [context, group, work] = shared;
    group.gather_into(context, n, work.whole_input, "attention input", [&](Tensor n_rows, Range range) {
        column_product(context, saved_.qkv.slice(range.begin, range.end), n_rows, qkv_);
    });
    work.look(context, "attention.qkv", saved_.qkv);
    head_norms_.forward(shared, saved_.qkv);
    rope(context, saved_.qkv, shape_, work.cos, work.sin, false);
    attention(context,
              {.o = saved_.o, .lse = saved_.lse, .qkv = saved_.qkv, .shape = shape_, .segment_begin = segment_begin});
    work.look(context, "attention", saved_.o);
}

void Attention::forward(const LayerContext& shared, Tensor b, Tensor n, Tensor segment_begin) {
    const auto& [context, group, work] = shared;
    forward_inner(shared, n, segment_begin);
    const auto product = [&](Tensor partial, Range range) {
        matmul(context, partial, saved_.o.slice(range.begin, range.end), out_.w);
    };
    const auto look = [&](Tensor partial) { work.look(context, "attention.out", partial); };  // this rank's term
    group.reduce_from(context, b, {work.partial, work.whole_input}, "attention output", product, look);
    add_row_bias(context, b, out_, token_rows_);
}

void Attention::extend(const LayerContext& shared, Tensor b, Tensor n, std::int64_t position) {
    const auto& [context, group, work] = shared;
    const std::int64_t batch = shape_.batch;
    AttentionShape now = shape_;
    now.sequence = n.dim(0) / batch;
    const std::int64_t end = position + now.sequence;
    const Tensor qkv = saved_.qkv.slice(position * batch, end * batch);
    const Tensor o = saved_.o.slice(0, n.dim(0));
    column_product(context, qkv, n, qkv_);
    head_norms_.forward(shared, qkv);
    rope(context, qkv, now, work.cos.slice(position, end), work.sin.slice(position, end), false);
    if (position == 0) {
        const Tensor lse = saved_.lse.first({batch * shape_.heads, now.sequence});
        attention(context, {.o = o, .lse = lse, .qkv = qkv, .shape = now});
    } else {
        now.sequence = end;
        attention_last(context, o, saved_.qkv.slice(0, end * batch), now);
    }
    matmul(context, b, o, out_.w);
    group.reduce(b, work.partial, "attention output");
    add_row_bias(context, b, out_, token_rows_);
}

void Attention::backward_input(const LayerContext& shared, Tensor dn, Tensor db, Tensor segment_begin) {
    const auto& [context, group, work] = shared;
    const Tensor dqkv = deferred_.dqkv ? deferred_.dqkv : work.dqkv;
    if (deferred_.db) cast(context, deferred_.db, db);
    const auto dx_of_out = [&](Tensor db_rows, Range range) {
        matmul_dx(context, work.d_o.slice(range.begin, range.end), db_rows, out_.w);  // b = o Woutᵀ
    };
    group.gather_into(context, db, work.whole_doutput, "gradient of attention output", dx_of_out);
    attention_backward(context, {.dqkv = dqkv,
                                 .d_o = work.d_o,
                                 .o = saved_.o,
                                 .lse = saved_.lse,
                                 .qkv = saved_.qkv,
                                 .shape = shape_,
                                 .segment_begin = segment_begin});
    rope(context, dqkv, shape_, work.cos, work.sin, true);
    head_norms_.backward(shared, dqkv);
    const auto product = [&](Tensor partial, Range range) {
        matmul_dx(context, partial, dqkv.slice(range.begin, range.end), qkv_.w);  // qkv = n Wqkvᵀ
    };
    group.reduce_from(context, dn, {work.partial, work.whole_input}, "gradient of attention input", product);
}

void Attention::backward_weight(const LayerContext& shared, Tensor n, Tensor db) {
    const auto& [context, group, work] = shared;
    const Tensor dqkv = deferred_.dqkv ? deferred_.dqkv : work.dqkv;
    const Tensor db_all = deferred_.db ? group.gather(deferred_.db, work.whole_doutput, "gradient of attention output")
                                       : group.gathered(db, work.whole_doutput);
    const Tensor n_all = group.gather_overlapped(n, work.whole_input, "attention input", [&] {
        matmul_dw(context, out_.dw, db_all, saved_.o);  // b = o Woutᵀ
    });
    column_gradient(context, qkv_, dqkv, n_all);  // qkv = n Wqkvᵀ + bqkv
    row_bias_gradient(context, out_, deferred_.db ? deferred_.db : db);
}

}  // namespace gpas
