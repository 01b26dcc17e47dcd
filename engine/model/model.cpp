#include "engine/model/model.hpp"

#include <algorithm>

namespace gpas {
namespace {

AttentionShape attention_shape(const ModelConfig& config, const ModelShape& shape) {
    return {.sequence = shape.sequence,
            .batch = shape.batch,
            .heads = config.heads,
            .kv_heads = heads_of_kv(config),
            .head_dim = head_dim(config)};
}

std::size_t head_index(const ModelConfig& config, const ParameterStore& store) {
    return store.index_of(config.tied_embeddings ? "embedding.weight" : "head.weight");
}

}  // namespace

ScratchShape scratch_shape(const ModelConfig& config, const ModelShape& shape, int threads) {
    const AttentionShape attention = attention_shape(config, shape);
    return {.tokens = shape.tokens(),
            .columns = std::max({config.hidden_size, 2 * config.ffn_size, attention.qkv_columns()}),
            .vocabulary = config.vocab_size,
            .attention = attention,
            .dtype = shape.dtype,
            .threads = threads};
}

Model::Model(const ModelConfig& config, const ModelShape& shape, ParameterStore& store, Arena& arena)
    : config_(config),
      shape_(shape),
      embedding_(store.compute(store.index_of("embedding.weight"))),
      dembedding_(store.gradient(store.index_of("embedding.weight"))),
      embedded_(arena.allocate(shape.dtype, {shape.tokens(), config.hidden_size})),
      head_(store.compute(head_index(config, store)), store.gradient(head_index(config, store)), shape.tokens(),
            shape.training, arena) {
    const AttentionShape attention = attention_shape(config, shape);
    const std::int64_t tokens = shape.tokens();
    const std::int64_t hidden = config.hidden_size;
    const auto activation = [&](std::int64_t columns) { return arena.allocate(shape.dtype, {tokens, columns}); };

    layers_.reserve(std::size_t(config.layers));
    for (std::int64_t layer = 0; layer < config.layers; ++layer) {
        const std::string prefix = fmt::format("layers.{}.", layer);
        layers_.push_back({ResidualSite(config, layer, prefix + "attention.", store, tokens, shape.dtype, arena),
                           Attention(layer, attention, store, shape.dtype, arena),
                           ResidualSite(config, layer, prefix + "mlp.", store, tokens, shape.dtype, arena),
                           Mlp(config, layer, tokens, store, shape.dtype, arena)});
    }
    final_norm_ = saved_norm(config, "final_norm.weight", store, tokens, arena);
    rotary_ = {.cos = arena.allocate(Dtype::fp32, {shape.sequence, attention.head_dim / 2}),
               .sin = arena.allocate(Dtype::fp32, {shape.sequence, attention.head_dim / 2})};
    buffers_ = {.normed = activation(hidden), .branch = activation(hidden)};
    mlp_buffers_ = {.act = activation(config.ffn_size)};
    if (!shape.training) return;
    buffers_.dinput = activation(hidden);
    attention_buffers_ = {.d_o = activation(attention.heads * attention.head_dim),
                          .dqkv = activation(attention.qkv_columns())};
    d_ = activation(hidden);
}

void Model::prepare(Context& context) { rope_table(context, rotary_.cos, rotary_.sin, config_.rope_base); }

const SavedNorm* Model::norm_after(std::size_t layer) const {
    return layer + 1 < layers_.size() ? layers_[layer + 1].attention_site.pre_norm() : &final_norm_;
}

Tensor Model::forward(Context& context, const TokenRows& rows) {
    embedding(context, embedded_, embedding_, rows.tokens);
    GatedStream h{.stream = {.x = embedded_}};
    bool normed = false;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        Layer& layer = layers_[i];
        Tensor n = layer.attention_site.enter(context, h, normed, buffers_);
        layer.attention.forward(context, layer.attention_site.branch_output(buffers_), n, rotary_, rows.segment_begin);
        h = layer.attention_site.leave(context, layer.mlp_site.pre_norm(), normed, buffers_);

        n = layer.mlp_site.enter(context, h, normed, buffers_);
        layer.mlp.forward(context, layer.mlp_site.branch_output(buffers_), n, mlp_buffers_);
        h = layer.mlp_site.leave(context, norm_after(i), normed, buffers_);
    }
    if (!normed) rmsnorm(context, buffers_.normed, final_norm_.rstd, h.stream, final_norm_.norm);
    last_ = h;
    return buffers_.normed;
}

void Model::backward(Context& context, const TokenRows& rows) {
    constexpr Residual no_shortcut{.alpha = 0.0F};
    rmsnorm_backward(context, d_, final_norm_.dw, {.stream = last_.dgate}, d_, no_shortcut, last_.stream,
                     final_norm_.rstd, final_norm_.norm);
    for (std::size_t i = layers_.size(); i-- > 0;) {
        Layer& layer = layers_[i];
        Tensor db = layer.mlp_site.backward_leave(context, d_, buffers_);
        Tensor n = layer.mlp_site.replay_input(context, buffers_);
        layer.mlp.backward(context, buffers_.dinput, db, n, mlp_buffers_);
        layer.mlp_site.backward_enter(context, d_, buffers_.dinput);

        db = layer.attention_site.backward_leave(context, d_, buffers_);
        n = layer.attention_site.replay_input(context, buffers_);
        layer.attention.backward(context, buffers_.dinput, db, n, rotary_, rows.segment_begin, attention_buffers_);
        layer.attention_site.backward_enter(context, d_, buffers_.dinput);
    }
    embedding_backward(context, dembedding_, d_, rows.tokens);
}

double Model::loss(Context& context, const TokenRows& rows) {
    const Tensor n = forward(context, rows);
    return head_.loss(context, n, rows.labels);
}

double Model::loss_and_backward(Context& context, const TokenRows& rows, float factor) {
    const Tensor n = forward(context, rows);
    const double sum = head_.loss_and_backward(context, d_, n, rows.labels, factor);
    backward(context, rows);
    return sum;
}

void Model::logits_at(Context& context, Tensor logits, Tensor tokens, std::int64_t position) {
    const Tensor n = forward(context, {.tokens = tokens});
    head_.logits(context, logits, n.slice(position * shape_.batch, (position + 1) * shape_.batch));
}

std::vector<Moments> Model::stream_moments(Context& context) const {
    std::vector<Moments> result;
    for (const Layer& layer : layers_) {
        result.push_back(moments(context, layer.attention_site.output()));
        result.push_back(moments(context, layer.mlp_site.output()));
    }
    return result;
}

}  // namespace gpas
