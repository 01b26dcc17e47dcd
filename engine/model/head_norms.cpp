#include "engine/model/head_norms.hpp"

namespace gpas {

HeadNorms::HeadNorms(const ModelConfig& model, const std::string& prefix, const ModelShape& shape,
                     ParameterStore& store, Arena& saved) {
    if (model.qk_norm == QkNormKind::none) return;
    norm_ = qk_norm_shape(model, shape);
    const std::size_t query = store.index_of(prefix + "q_norm.weight");
    const std::size_t key = store.index_of(prefix + "k_norm.weight");
    norm_.query = store.compute(query);
    norm_.key = store.compute(key);
    squares_ = saved.allocate(Dtype::fp32, {shape.tokens(), norm_.spans()});
    if (!shape.training) return;
    dquery_ = store.gradient(query);
    dkey_ = store.gradient(key);
    raw_ = saved.allocate(shape.dtype, {shape.tokens(), norm_.columns()});
}

void HeadNorms::forward(const LayerContext& shared, Tensor qkv) {
    if (!squares_) return;
    const Tensor squares = squares_.slice(0, qkv.rows());
    qk_squares(shared.context, squares, qkv, norm_);
    if (norm_.whole) shared.group.sum(squares, "squares of queries and keys");
    qk_norm(shared.context, qkv, raw_ ? raw_.slice(0, qkv.rows()) : Tensor{}, squares, norm_);
    shared.work.look(shared.context, "attention.qk_norm", qkv);
}

void HeadNorms::backward(const LayerContext& shared, Tensor dqkv) {
    if (!squares_) return;
    const Tensor dots = shared.work.head_dots;
    qk_dots(shared.context, dots, dqkv, raw_, norm_);
    if (norm_.whole) shared.group.sum(dots, "gradient of the norm of queries and keys");
    qk_norm_backward(shared.context, {.dqkv = dqkv,
                                      .dquery = dquery_,
                                      .dkey = dkey_,
                                      .raw = raw_,
                                      .squares = squares_,
                                      .dots = dots,
                                      .norm = norm_});
}

}  // namespace gpas
