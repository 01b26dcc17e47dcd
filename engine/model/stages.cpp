#include "engine/model/stages.hpp"

#include "base/error.hpp"
#include "io/metrics/flops.hpp"

#include <algorithm>
#include <numeric>

namespace gpas {
namespace {

// All layers cost the same, so each layer goes to the stage with the least load so far. Among equal loads the last
// stage gets it, since earlier stages keep more micro-batches in flight and so need more memory.
std::vector<std::int64_t> balanced_counts(std::int64_t layers, std::int64_t stages, double head_in_layers) {
    std::vector<std::int64_t> counts(std::size_t(stages), 1);
    const auto load = [&](std::size_t stage) {
        return double(counts[stage]) + (stage + 1 == counts.size() ? head_in_layers : 0.0);
    };
    for (std::int64_t placed = stages; placed < layers; ++placed) {
        std::size_t least = counts.size() - 1;
        for (std::size_t stage = counts.size(); stage-- > 0;)
            if (load(stage) < load(least)) least = stage;
        ++counts[least];
    }
    return counts;
}

}  // namespace

double layer_forward_flops(const ModelConfig& model, std::int64_t sequence) {
    const double hidden = double(model.hidden_size);
    const double width = double(model.heads * head_dim(model));
    const double qkv = double((model.heads + 2 * heads_of_kv(model)) * head_dim(model));
    const double products = hidden * qkv + width * hidden + 3.0 * hidden * double(model.ffn_size);
    return 2.0 * products + 4.0 * keys_per_position(model, sequence) * width;
}

double head_forward_flops(const ModelConfig& model) {
    return 2.0 * double(model.hidden_size) * double(model.vocab_size);
}

std::vector<Range> stage_layers(const ModelConfig& model, std::int64_t sequence, std::int64_t stages,
                                const std::vector<std::int64_t>& given) {
    const std::vector<std::int64_t> counts =
        !given.empty()
            ? given
            : balanced_counts(model.layers, stages, head_forward_flops(model) / layer_forward_flops(model, sequence));
    require(std::int64_t(counts.size()) == stages &&
                std::accumulate(counts.begin(), counts.end(), std::int64_t(0)) == model.layers,
            "{} layers over {} stages", model.layers, stages);
    std::vector<Range> layers;
    std::int64_t begin = 0;
    for (const std::int64_t count : counts) {
        layers.push_back({begin, begin + count});
        begin += count;
    }
    return layers;
}

std::vector<ModelPart> parts_of_stage(const std::vector<Range>& layers, std::int64_t stage, std::int64_t pipeline) {
    std::vector<ModelPart> parts;
    for (std::size_t i = std::size_t(stage); i < layers.size(); i += std::size_t(pipeline))
        parts.push_back({.layers = layers[i], .embedding = i == 0, .head = i + 1 == layers.size()});
    return parts;
}

}  // namespace gpas
