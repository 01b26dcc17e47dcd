#include "engine/model/mlp.hpp"

#include "base/error.hpp"

namespace gpas {

Mlp::Mlp(const ModelConfig& model, std::int64_t layer, const ModelShape& shape, ParameterStore& store, Arena& saved,
         Arena& kept)
    : gate_up_layer_(linear(store, fmt::format("layers.{}.mlp.gate_up", layer))),
      down_(linear(store, fmt::format("layers.{}.mlp.down", layer))),
      token_rows_(shape.token_rows()) {
    const std::int64_t columns = ffn_columns(model, shape);
    gate_up_ = saved.allocate(shape.dtype, {shape.tokens(), 2 * columns});
    if (shape.split_backward)
        deferred_ = {.db = kept.allocate(shape.dtype, {shape.rows(), model.hidden_size}),
                     .act = kept.allocate(shape.dtype, {shape.tokens(), columns})};
}

void Mlp::forward_inner(const LayerContext& shared, Tensor n) {
    const auto& [context, group, work] = shared;
    group.gather_into(context, n, work.whole_input, "MLP input", [&](Tensor n_rows, Range range) {
        column_product(context, gate_up_.slice(range.begin, range.end), n_rows, gate_up_layer_);
    });
    work.look(context, "mlp.gate_up", gate_up_);
}

void Mlp::forward(const LayerContext& shared, Tensor b, Tensor n) {
    const auto& [context, group, work] = shared;
    forward_inner(shared, n);
    const std::int64_t rows = group.sequence_parallel() ? gate_up_.dim(0) : n.dim(0);
    const Tensor act = work.act.slice(0, rows);
    swiglu(context, act, gate_up_.slice(0, rows));
    work.look(context, "mlp.swiglu", act);
    const auto product = [&](Tensor partial, Range range) {
        matmul(context, partial, act.slice(range.begin, range.end), down_.w);
    };
    const auto look = [&](Tensor partial) { work.look(context, "mlp.down", partial); };  // this rank's term
    group.reduce_from(context, b, {work.partial, work.whole_input}, "MLP output", product, look);
    add_row_bias(context, b, down_, token_rows_);
}

void Mlp::backward_input(const LayerContext& shared, Tensor dn, Tensor db) {
    const auto& [context, group, work] = shared;
    const Tensor act = deferred_.act ? deferred_.act : work.act;
    const Tensor dgate_up = gate_up_;  // in place: gate_up is not read again after swiglu_backward
    if (deferred_.db) cast(context, deferred_.db, db);
    group.gather_into(context, db, work.whole_doutput, "gradient of MLP output", [&](Tensor db_rows, Range range) {
        matmul_dx(context, work.dact.slice(range.begin, range.end), db_rows, down_.w);  // b = act Wdownᵀ
    });
    swiglu(context, act, gate_up_);  // computed again: cheaper than keeping [T,F] from the forward pass
    swiglu_backward(context, dgate_up, work.dact, gate_up_);
    const auto product = [&](Tensor partial, Range range) {
        matmul_dx(context, partial, dgate_up.slice(range.begin, range.end), gate_up_layer_.w);  // gate_up = n Wgate_upᵀ
    };
    group.reduce_from(context, dn, {work.partial, work.whole_input}, "gradient of MLP input", product);
}

void Mlp::backward_weight(const LayerContext& shared, Tensor n, Tensor db) {
    const auto& [context, group, work] = shared;
    const Tensor act = deferred_.act ? deferred_.act : work.act;
    const Tensor dgate_up = gate_up_;
    const Tensor db_all = deferred_.db ? group.gather(deferred_.db, work.whole_doutput, "gradient of MLP output")
                                       : group.gathered(db, work.whole_doutput);
    const Tensor n_all = group.gather_overlapped(n, work.whole_input, "MLP input", [&] {
        matmul_dw(context, down_.dw, db_all, act);  // b = act Wdownᵀ
    });
    column_gradient(context, gate_up_layer_, dgate_up, n_all);  // gate_up = n Wgate_upᵀ + bgate_up
    row_bias_gradient(context, down_, deferred_.db ? deferred_.db : db);
}

}  // namespace gpas
