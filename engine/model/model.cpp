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

Model::Model(const ModelConfig& config, const ModelPart& part, const ModelShape& shape, ParameterStore& store,
             Workspace& work, const TensorParallel& tensor, const ModelArenas& arenas)
    : config_(config), part_(part), shape_(shape), work_(&work), tensor_(&tensor), store_(&store) {
    if (part.embedding) {
        const std::size_t i = store.index_of("embedding.weight");
        embedding_ = store.compute(i);
        dembedding_ = store.gradient(i);
    }
    layers_.reserve(std::size_t(part.layers.size()));
    for (std::int64_t layer = part.layers.begin; layer < part.layers.end; ++layer)
        layers_.push_back(make_layer(layer, store, arenas));
    if (part.head) {
        final_norm_ = saved_norm(config, "final_norm.weight", store, shape.rows(), arenas.kept);
        head_.emplace(config, shape, store);
    } else if (residual_row(config, part.layers.end - 1).gate == GatePlace::sum) {
        sent_ = arenas.kept.allocate(shape.dtype, {shape.rows(), config.hidden_size});
    }
}

Model::Layer Model::make_layer(std::int64_t layer, ParameterStore& store, const ModelArenas& arenas) const {
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
    if (layer + 1 < layers_.size()) return layers_[layer + 1].attention_site.pre_norm();
    return part_.head ? &final_norm_ : nullptr;
}

// Vocabulary parallel: h = 0 for the tokens whose embedding row another rank has, so the sum over ranks is exact.
void Model::embed(Context& context, Tensor h, Tensor tokens) {
    const Tensor partial = tensor_->partial(h, work_->partial);
    embedding(context, partial, embedding_, tokens, vocabulary_rows(config_, shape_).begin);
    if (work_->probe != nullptr) work_->probe->enter(-1, "");
    work_->look(context, "embedding", partial);
    tensor_->reduce(h, work_->partial, "embedding");
}

void Model::embed_backward(Context& context, Tensor d, Tensor tokens) {
    const Tensor d_all = tensor_->gather(d, work_->whole_doutput, "gradient of embedding");
    embedding_backward(context, dembedding_, d_all, tokens, vocabulary_rows(config_, shape_).begin);
}

GatedStream Model::forward_layer(Context& context, Layer& layer, GatedStream h, const SavedNorm* next, bool& normed,
                                 Tensor segment_begin) {
    Tensor n = layer.attention_site.enter(context, h, normed, *work_);
    work_->look(context, "attention's pre-norm", n);
    layer.attention.forward(context, *tensor_, *work_, layer.attention_site.branch_output(*work_), n, segment_begin);
    h = layer.attention_site.leave(context, layer.mlp_site.pre_norm(), normed, *work_);
    work_->look(context, "attention's residual sum", h.stream.x);

    n = layer.mlp_site.enter(context, h, normed, *work_);
    work_->look(context, "mlp's pre-norm", n);
    layer.mlp.forward(context, *tensor_, *work_, layer.mlp_site.branch_output(*work_), n);
    h = layer.mlp_site.leave(context, next, normed, *work_);
    work_->look(context, "mlp's residual sum", h.stream.x);
    return h;
}

// Moments of the stream's token rows, without the padding rows of sequence parallelism.
Moments Model::token_moments(Context& context, ResidualStream h) const {
    const std::int64_t rows = shape_.token_rows();
    if (rows == 0) return {};
    h.x = h.x.slice(0, rows);
    return moments(context, h);
}

void Model::await_weights_of(std::size_t layer) const {
    store_->await_layer(part_.layers.begin + std::int64_t(layer));
    if (layer + 1 < layers_.size())
        store_->await_layer(part_.layers.begin + std::int64_t(layer) + 1);
    else if (part_.head)
        store_->await_weights();
}

Tensor Model::forward(Context& context, const TokenRows& rows, Tensor input, std::vector<Moments>* stream_moments) {
    work_->normed_by = nullptr;
    if (part_.embedding) store_->await_layer(-1);
    if (part_.embedding) embed(context, input, rows.tokens);
    GatedStream h{.stream = {.x = input}};
    bool normed = false;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        const std::int64_t layer = part_.layers.begin + std::int64_t(i);
        const cuda::Range range(context, "layer {} forward", layer);
        if (work_->probe != nullptr) work_->probe->enter(layer, fmt::format("layers.{}.", layer));
        await_weights_of(i);
        h = forward_layer(context, layers_[i], h, norm_after(i), normed, rows.segment_begin);
        if (stream_moments == nullptr) continue;
        stream_moments->push_back(token_moments(context, layers_[i].attention_site.output()));
        stream_moments->push_back(token_moments(context, layers_[i].mlp_site.output()));
    }
    last_ = h;
    if (part_.head) {
        store_->await_weights();
        if (!normed) rmsnorm(context, work_->normed, final_norm_.rstd, h.stream, final_norm_.norm);
        work_->normed_by = this;
        return h.stream.x;
    }
    if (!sent_) return h.stream.x;
    apply_gate(context, sent_, h.stream);
    return sent_;
}

Tensor Model::final_norm(Context& context) {
    if (work_->normed_by != this)  // work.normed was overwritten since: another micro-batch has run
        rmsnorm_replay(context, work_->normed, final_norm_.rstd, last_.stream, final_norm_.norm);
    work_->normed_by = nullptr;  // the caller may overwrite it (the head writes dn there)
    return work_->normed;
}

void Model::loss(Context& context, const TokenRows& rows) {
    const cuda::Range range(context, "head forward");
    const Tensor n = final_norm(context);
    if (work_->probe != nullptr) work_->probe->enter(config_.layers, "");
    work_->look(context, "final_norm", n);
    head_->loss(context, *tensor_, *work_, n, rows.labels);
}

void Model::loss_and_gradient(Context& context, const TokenRows& rows, Tensor d, float factor, const LayerDone& done) {
    constexpr Residual no_shortcut{.alpha = 0.0F};
    const cuda::Range range(context, "head forward and backward");
    const Tensor n = final_norm(context);
    head_->loss_and_backward(context, *tensor_, *work_, d, n, rows.labels, factor);
    rmsnorm_backward(context, d, final_norm_.dw, {.stream = last_.dgate}, d, no_shortcut, last_.stream,
                     final_norm_.rstd, final_norm_.norm);
    if (done) done(config_.layers);
}

void Model::logits_at(Context& context, Tensor logits, std::int64_t position) {
    const Tensor n = final_norm(context);
    head_->logits(context, logits, n.slice(position * shape_.batch, (position + 1) * shape_.batch));
}

void Model::recompute_layer(Context& context, Layer& layer, Tensor segment_begin) {
    if (shape_.recompute != Recompute::full) return;
    bool normed = false;
    forward_layer(context, layer, layer.attention_site.input(), nullptr, normed, segment_begin);
}

void Model::backward_layer(Context& context, Layer& layer, Tensor d, Tensor segment_begin) {
    const bool inner_again = shape_.recompute == Recompute::selective;
    recompute_layer(context, layer, segment_begin);
    Tensor db = layer.mlp_site.backward_leave(context, d, *work_);
    Tensor n = shape_.split_backward ? Tensor{} : layer.mlp_site.replay_input(context, *work_);
    if (inner_again) layer.mlp.forward_inner(context, *tensor_, *work_, n);
    layer.mlp.backward_input(context, *tensor_, *work_, work_->dinput, db);
    if (!shape_.split_backward) layer.mlp.backward_weight(context, *tensor_, *work_, n, db);
    layer.mlp_site.backward_enter(context, d, work_->dinput);

    db = layer.attention_site.backward_leave(context, d, *work_);
    n = shape_.split_backward ? Tensor{} : layer.attention_site.replay_input(context, *work_);
    if (inner_again) layer.attention.forward_inner(context, *tensor_, *work_, n, segment_begin);
    layer.attention.backward_input(context, *tensor_, *work_, work_->dinput, db, segment_begin);
    if (!shape_.split_backward) layer.attention.backward_weight(context, *tensor_, *work_, n, db);
    layer.attention_site.backward_enter(context, d, work_->dinput);
}

// Backward of apply_gate at the end of forward: d, the gradient of the gated stream, becomes the gradient of its x.
void Model::leave_backward(Context& context, Tensor d) {
    if (!part_.head && sent_) residual_backward(context, d, {.stream = last_.dgate}, {}, {}, last_.stream);
}

void Model::backward_stream(Context& context, const TokenRows& rows, Tensor d, const LayerDone& done) {
    work_->normed_by = nullptr;
    leave_backward(context, d);
    for (std::size_t i = layers_.size(); i-- > 0;) {
        const cuda::Range range(context, "layer {} backward", part_.layers.begin + std::int64_t(i));
        backward_layer(context, layers_[i], d, rows.segment_begin);
        if (done) done(part_.layers.begin + std::int64_t(i));
    }
    if (part_.embedding) embed_backward(context, d, rows.tokens);
}

void Model::backward(Context& context, const TokenRows& rows, Tensor d, const LayerDone& done) {
    backward_stream(context, rows, d, shape_.split_backward ? LayerDone{} : done);
    if (shape_.split_backward) return backward_weight(context, done);
    if (done && part_.embedding) done(-1);
}

void Model::backward_input(Context& context, const TokenRows& rows, Tensor d) { backward_stream(context, rows, d, {}); }

void Model::backward_weight(Context& context, const LayerDone& done) {
    require(shape_.split_backward, "the weight gradients were computed with the input's");
    work_->normed_by = nullptr;
    for (std::size_t i = layers_.size(); i-- > 0;) {
        const cuda::Range range(context, "layer {} backward (weights)", part_.layers.begin + std::int64_t(i));
        Layer& layer = layers_[i];
        Tensor n = layer.mlp_site.replay_input(context, *work_);
        layer.mlp.backward_weight(context, *tensor_, *work_, n, {});
        n = layer.attention_site.replay_input(context, *work_);
        layer.attention.backward_weight(context, *tensor_, *work_, n, {});
        if (done) done(part_.layers.begin + std::int64_t(i));
    }
    if (done && part_.embedding) done(-1);
}

}  // namespace gpas
