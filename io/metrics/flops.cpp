#include "io/metrics/flops.hpp"

#include <algorithm>

namespace gpas {

namespace {

double window_of(const ModelConfig& model, std::int64_t sequence_length) {
    return double(model.sliding_window > 0 ? std::min(model.sliding_window, sequence_length) : sequence_length);
}

}  // namespace

double keys_per_position(const ModelConfig& model, std::int64_t sequence_length) {
    const double window = window_of(model, sequence_length);
    return window - window * window / (2.0 * double(sequence_length));
}

FlopsPerToken flops_per_token(const ModelConfig& model, std::int64_t sequence_length) {
    const double h = double(model.hidden_size), f = double(model.ffn_size), layers = double(model.layers);
    const double heads = double(model.heads), kv_heads = model.kv_heads > 0 ? double(model.kv_heads) : heads;
    const double head_dim = model.head_dim > 0 ? double(model.head_dim) : h / heads;
    const double query = heads * head_dim, key_value = 2 * kv_heads * head_dim;
    const double matrices = layers * (h * (query + key_value) + query * h + 3 * h * f);
    const double head = h * double(model.vocab_size);
    const double embedding = model.tied_embeddings ? 0 : head;
    const double masked = layers * query * keys_per_position(model, sequence_length);
    const double unmasked = layers * query * window_of(model, sequence_length);
    return {.megatron = 6 * (matrices + head) + 12 * masked, .full = 6 * (matrices + head + embedding) + 12 * unmasked};
}

}  // namespace gpas
