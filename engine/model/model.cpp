#include "engine/model/model.hpp"

#include "base/error.hpp"
#include "kernels/cuda/profiling.hpp"

#include <algorithm>

namespace gpas {

ScratchShape scratch_shape(const ModelConfig& config, const ModelShape& shape, int threads) {
    const AttentionShape attention = attention_shape(config, shape);
    return {.tokens = shape.tokens(),
            .columns = std::max({config.hidden_size, 2 * ffn_columns(config, shape), attention.qkv_columns()}),
            .vocabulary = vocabulary_rows(config, shape).size(),
            .attention = attention,
            .dtype = shape.dtype,
            .threads = threads};
}

Model::Model(const ModelConfig& config, const ModelPart& part, const ModelShape& shape, const ModelResources& resources,
             const ModelArenas& arenas)
    : config_(config), part_(part), shape_(shape), resources_(resources) {
    ParameterStore& store = resources.store;
    if (part.embedding) {
        const std::size_t i = store.index_of("embedding.weight");
        embedding_ = store.compute(i);
        dembedding_ = store.gradient(i);
    }
    layers_.reserve(std::size_t(part.layers.size()));
    for (std::int64_t layer = part.layers.begin; layer < part.layers.end; ++layer)
        layers_.push_back(make_layer(layer, arenas));
    if (part.head) {
        final_norm_ = saved_norm(config, "final_norm.weight", store, shape.rows(), arenas.kept);
        head_.emplace(config, shape, store);
    } else if (residual_row(config, part.layers.end - 1).gate == GatePlace::sum) {
        sent_ = arenas.kept.allocate(shape.dtype, {shape.rows(), config.hidden_size});
    }
}

Model::Layer Model::make_layer(std::int64_t layer, const ModelArenas& arenas) const {
    ParameterStore& store = resources_.store;
    const Arena::Scope scope(arenas.recomputed);  // the next layer reuses the same bytes
    const Recompute recompute = shape_.recompute;
    Arena& site = recompute == Recompute::full ? arenas.recomputed : arenas.kept;
    Arena& inner = recompute == Recompute::none ? arenas.kept : arenas.recomputed;
    const std::string prefix = fmt::format("layers.{}.", layer);
    return {ResidualSite(config_, layer, prefix + "attention.", shape_, store, {.inner = site, .output = site}),
            Attention(config_, layer, shape_, store, inner, arenas.kept),
            ResidualSite(config_, layer, prefix + "mlp.", shape_, store, {.inner = site, .output = arenas.kept}),
            Mlp(config_, layer, shape_, store, inner, arenas.kept)};
}

const SavedNorm* Model::norm_after(std::size_t layer) const {
    return layer + 1 < layers_.size() ? layers_[layer + 1].attention_site.pre_norm() : nullptr;
}

// Vocabulary parallel: h = 0 for the tokens whose embedding row another rank has, so the sum over ranks is exact.
void Model::embed(const LayerContext& shared, Tensor h, Tensor tokens) {
    const auto& [context, group, work] = shared;
    const Tensor partial = group.partial(h, work.partial);
    embedding(context, partial, embedding_, tokens, vocabulary_rows(config_, shape_).begin);
    if (work.probe != nullptr) work.probe->enter(-1, "");
    work.look(context, "embedding", partial);
    group.reduce(h, work.partial, "embedding");
}

void Model::embed_backward(const LayerContext& shared, Tensor d, Tensor tokens) {
    const auto& [context, group, work] = shared;
    const Tensor d_all = group.gather(d, work.whole_doutput, "gradient of embedding");
    embedding_backward(context, dembedding_, d_all, tokens, vocabulary_rows(config_, shape_).begin);
}

Handover Model::forward_layer(const LayerContext& shared, Layer& layer, const Handover& before, const SavedNorm* next,
                              const Positions& positions) {
    const auto& [context, group, work] = shared;
    Tensor n = layer.attention_site.enter(shared, before);
    work.look(context, "attention's pre-norm", n);
    const Tensor b = layer.attention_site.branch_output(work);
    if (positions.position)
        layer.attention.extend(shared, b, n, *positions.position);
    else
        layer.attention.forward(shared, b, n, positions.segment_begin);
    const Handover middle = layer.attention_site.leave(shared, layer.mlp_site.pre_norm());
    work.look(context, "attention's residual sum", middle.h.stream.x);

    n = layer.mlp_site.enter(shared, middle);
    work.look(context, "mlp's pre-norm", n);
    layer.mlp.forward(shared, layer.mlp_site.branch_output(work), n);
    const Handover after = layer.mlp_site.leave(shared, next);
    work.look(context, "mlp's residual sum", after.h.stream.x);
    return after;
}

// Moments of the stream's token rows, without the padding rows of sequence parallelism.
Moments Model::token_moments(Context& context, ResidualStream h) const {
    const std::int64_t rows = shape_.token_rows();
    if (rows == 0) return {};
    h.x = h.x.slice(0, rows);
    return moments(context, h);
}

void Model::await_weights_of(std::size_t layer) const {
    resources_.store.await_layer(part_.layers.begin + std::int64_t(layer));
    if (layer + 1 < layers_.size()) resources_.store.await_layer(part_.layers.begin + std::int64_t(layer) + 1);
}

Tensor Model::forward(Context& context, const TokenRows& rows, Tensor input, const ForwardExtras& extras) {
    require(extras.moments == nullptr || !extras.without_layer, "moments of a layer that is left out");
    const LayerContext shared = this->shared(context);
    NumberProbe* probe = shared.work.probe;
    if (part_.embedding) resources_.store.await_layer(-1);
    if (part_.embedding) embed(shared, input, rows.tokens);
    Handover handover{.h = {.stream = {.x = input}}};
    if (extras.angles != nullptr)
        extras.angles->begin(context, handover.h.stream, rows.labels,
                             shape_.sequence_parallel ? shape_.tensor_rank * shape_.rows() : 0);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        const std::int64_t layer = part_.layers.begin + std::int64_t(i);
        if (extras.without_layer == layer) {
            handover.normed = {};  // it was computed with the norm of this layer
            continue;
        }
        const cuda::Range range(context, "layer {} forward", layer);
        if (probe != nullptr) probe->enter(layer, fmt::format("layers.{}.", layer));
        await_weights_of(i);
        handover = forward_layer(shared, layers_[i], handover, norm_after(i), {rows.segment_begin});
        if (extras.angles != nullptr) extras.angles->after(context, layer, handover.h.stream);
        if (extras.moments == nullptr) continue;
        extras.moments->push_back(token_moments(context, layers_[i].attention_site.output()));
        extras.moments->push_back(token_moments(context, layers_[i].mlp_site.output()));
    }
    return sent_stream(context, handover.h);
}

Tensor Model::extend(Context& context, Tensor tokens, Tensor input, std::int64_t position) {
    const std::int64_t count = tokens.elements() / shape_.batch;
    require(!resources_.group.sequence_parallel() && shape_.recompute == Recompute::none,
            "extend: sequence parallelism, or activations that are not kept");
    require(position + count <= shape_.sequence && (position == 0 || count == 1),
            "extend: {} positions from {} on, of {}", count, position, shape_.sequence);
    const LayerContext shared = this->shared(context);
    resources_.store.await_weights();
    const Tensor h = input.slice(0, tokens.elements());
    if (part_.embedding) embed(shared, h, tokens);
    Handover handover{.h = {.stream = {.x = h}}};
    for (std::size_t i = 0; i < layers_.size(); ++i)
        handover =
            forward_layer(shared, layers_[i], handover, norm_after(i), {.segment_begin = {}, .position = position});
    return sent_stream(context, handover.h);
}

Tensor Model::sent_stream(Context& context, const GatedStream& last) {
    last_ = last;
    if (!sent_) return last_.stream.x;
    const Tensor sent = sent_.slice(0, last_.stream.x.dim(0));
    apply_gate(context, sent, last_.stream);
    return sent;
}

Tensor Model::normed_output(const LayerContext& shared) {
    resources_.store.await_weights();
    const std::int64_t rows = last_.stream.x.dim(0);
    const Tensor n = shared.work.normed.slice(0, rows);
    rmsnorm(shared.context, n, final_norm_.rstd.slice(0, rows), last_.stream, final_norm_.norm);
    return n;
}

void Model::loss(Context& context, const TokenRows& rows, Tensor token_losses) {
    const LayerContext shared = this->shared(context);
    const cuda::Range range(context, "head forward");
    const Tensor n = normed_output(shared);
    if (shared.work.probe != nullptr) shared.work.probe->enter(config_.layers, "");
    shared.work.look(context, "final_norm", n);
    head_->loss(shared, n, rows.labels, token_losses);
}

void Model::loss_and_gradient(Context& context, const TokenRows& rows, Tensor d, float factor, const LayerDone& done) {
    const LayerContext shared = this->shared(context);
    const cuda::Range range(context, "head forward and backward");
    const Tensor n = normed_output(shared);
    head_->loss_and_backward(shared, d, n, rows.labels, factor);
    rmsnorm_backward(context, {.d = d,
                               .dw = final_norm_.dw,
                               .dgate = {.stream = last_.dgate},
                               .dn = d,
                               .r = {.alpha = 0.0F},
                               .h = last_.stream,
                               .rstd = final_norm_.rstd,
                               .norm = final_norm_.norm});
    if (done) done(config_.layers);
}

void Model::logits_at(Context& context, Tensor logits, std::int64_t position) {
    const Tensor n = normed_output(shared(context));
    head_->logits(context, logits, n.slice(position * shape_.batch, (position + 1) * shape_.batch));
}

void Model::recompute_layer(const LayerContext& shared, Layer& layer, Tensor segment_begin) {
    if (shape_.recompute != Recompute::full) return;
    forward_layer(shared, layer, {.h = layer.attention_site.input()}, nullptr, {segment_begin});
}

void Model::backward_layer(const LayerContext& shared, Layer& layer, Tensor d, Tensor segment_begin) {
    const bool inner_again = shape_.recompute == Recompute::selective;
    const Tensor dinput = shared.work.dinput;
    recompute_layer(shared, layer, segment_begin);
    Tensor db = layer.mlp_site.backward_leave(shared, d);
    Tensor n = shape_.split_backward ? Tensor{} : layer.mlp_site.replay_input(shared);
    if (inner_again) layer.mlp.forward_inner(shared, n);
    layer.mlp.backward_input(shared, dinput, db);
    if (!shape_.split_backward) layer.mlp.backward_weight(shared, n, db);
    layer.mlp_site.backward_enter(shared.context, d, dinput);

    db = layer.attention_site.backward_leave(shared, d);
    n = shape_.split_backward ? Tensor{} : layer.attention_site.replay_input(shared);
    if (inner_again) layer.attention.forward_inner(shared, n, segment_begin);
    layer.attention.backward_input(shared, dinput, db, segment_begin);
    if (!shape_.split_backward) layer.attention.backward_weight(shared, n, db);
    layer.attention_site.backward_enter(shared.context, d, dinput);
}

// Backward of apply_gate at the end of forward: d, the gradient of the gated stream, becomes the gradient of its x.
void Model::leave_backward(Context& context, Tensor d) {
    if (sent_) residual_backward(context, {.d = d, .dgate = {.stream = last_.dgate}, .h = last_.stream});
}

void Model::backward_stream(const LayerContext& shared, const TokenRows& rows, Tensor d, const LayerDone& done) {
    leave_backward(shared.context, d);
    for (std::size_t i = layers_.size(); i-- > 0;) {
        const cuda::Range range(shared.context, "layer {} backward", part_.layers.begin + std::int64_t(i));
        backward_layer(shared, layers_[i], d, rows.segment_begin);
        if (done) done(part_.layers.begin + std::int64_t(i));
    }
    if (part_.embedding) embed_backward(shared, d, rows.tokens);
}

void Model::backward(Context& context, const TokenRows& rows, Tensor d, const LayerDone& done) {
    backward_stream(shared(context), rows, d, shape_.split_backward ? LayerDone{} : done);
    if (shape_.split_backward) return backward_weight(context, done);
    if (done && part_.embedding) done(-1);
}

void Model::backward_input(Context& context, const TokenRows& rows, Tensor d) {
    backward_stream(shared(context), rows, d, {});
}

void Model::backward_weight(Context& context, const LayerDone& done) {
    require(shape_.split_backward, "the weight gradients were computed with the input's");
    const LayerContext shared = this->shared(context);
    for (std::size_t i = layers_.size(); i-- > 0;) {
        const cuda::Range range(context, "layer {} backward (weights)", part_.layers.begin + std::int64_t(i));
        Layer& layer = layers_[i];
        layer.mlp.backward_weight(shared, layer.mlp_site.replay_input(shared), {});
        layer.attention.backward_weight(shared, layer.attention_site.replay_input(shared), {});
        if (done) done(part_.layers.begin + std::int64_t(i));
    }
    if (done && part_.embedding) done(-1);
}

}  // namespace gpas
