#include "engine/model/workspace.hpp"

#include <algorithm>

namespace gpas {

AttentionShape attention_shape(const ModelConfig& model, const ModelShape& shape) {
    return {.sequence = shape.sequence,
            .batch = shape.batch,
            .heads = model.heads / shape.tensor_size,
            .kv_heads = heads_of_kv(model) / shape.tensor_size,
            .head_dim = head_dim(model),
            .window = model.sliding_window < shape.sequence ? model.sliding_window : 0};
}

QkNorm qk_norm_shape(const ModelConfig& model, const ModelShape& shape) {
    return {.attention = attention_shape(model, shape),
            .whole = model.qk_norm == QkNormKind::projection,
            .ranks = shape.tensor_size,
            .eps = float(model.norm_eps)};
}

std::int64_t ffn_columns(const ModelConfig& model, const ModelShape& shape) {
    if (shape.ffn_multiple == 1) return shard_range(model.ffn_size, shape.tensor_rank, shape.tensor_size).size();
    return round_up(shard_size(model.ffn_size, shape.tensor_size), shape.ffn_multiple);
}

Range vocabulary_rows(const ModelConfig& model, const ModelShape& shape) {
    return shard_range(model.vocab_size, shape.tensor_rank, shape.tensor_size);
}

Workspace::Workspace(const ModelConfig& model, const ModelShape& shape, bool with_head, Arena& arena) {
    const AttentionShape attention = attention_shape(model, shape);
    const std::int64_t hidden = model.hidden_size;
    const auto between = [&] { return arena.allocate(shape.dtype, {shape.rows(), hidden}); };
    const auto inside = [&](std::int64_t columns) { return arena.allocate(shape.dtype, {shape.tokens(), columns}); };
    const auto padded = [&] { return arena.allocate(shape.dtype, {shape.padded_tokens(), hidden}); };

    cos = arena.allocate(Dtype::fp32, {shape.sequence, attention.head_dim / 2});
    sin = arena.allocate(Dtype::fp32, {shape.sequence, attention.head_dim / 2});
    loss = arena.allocate(Dtype::fp64, {1});
    squares = arena.allocate(Dtype::fp64, {2});
    step_numbers = arena.allocate(Dtype::fp64, {1 + 4 + update_numbers});
    normed = between();
    branch = between();
    act = inside(ffn_columns(model, shape));
    if (shape.sequence_parallel) {
        whole_input = padded();
        partial = padded();
    }
    if (with_head) {
        const std::int64_t chunk = std::min(shape.tokens(), shape.head_chunk);
        const std::int64_t columns = vocabulary_rows(model, shape).size();
        logits = arena.allocate(Dtype::fp32, {chunk, columns});
        dlogits = logits;
        if (shape.training && shape.dtype != Dtype::fp32) dlogits = arena.allocate(shape.dtype, {chunk, columns});
        token_losses = arena.allocate(Dtype::fp64, {shape.tokens()});
        stats = arena.allocate(Dtype::fp32, {chunk, 3});
        if (shape.tensor_size > 1) stats_parts = arena.allocate(Dtype::fp32, {shape.tensor_size, chunk, 3});
    }
    if (!shape.training) return;
    dinput = between();
    if (shape.sequence_parallel) whole_doutput = padded();
    dact = inside(ffn_columns(model, shape));
    d_o = inside(attention.heads * attention.head_dim);
    dqkv = inside(attention.qkv_columns());
    if (model.qk_norm != QkNormKind::none)
        head_dots = arena.allocate(Dtype::fp32, {shape.tokens(), qk_norm_shape(model, shape).spans()});
}

void Workspace::prepare(Context& context, const ModelConfig& model) {
    rope_table(context, cos, sin,
               {.base = model.rope_base,
                .factor = model.rope_scaling.factor,
                .low_freq = model.rope_scaling.low_freq_factor,
                .high_freq = model.rope_scaling.high_freq_factor,
                .original_length = double(model.rope_scaling.original_length)});
    if (partial) fill(context, partial, 0.0F);
}

}  // namespace gpas
