#include "engine/run/layer_importance.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>

namespace gpas {

std::vector<std::int64_t> parse_layers(const std::string& option, const std::string& text, std::int64_t layers) {
    if (text == "all") {
        std::vector<std::int64_t> all(static_cast<std::size_t>(layers));
        std::iota(all.begin(), all.end(), 0);
        return all;
    }
    std::int64_t layer = -1;
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, layer);
    if (error != std::errc() || end != last || layer < 0 || layer >= layers)
        fail(ExitCode::usage, "{}: found '{}', expected a layer of the model, from 0 to {}, or all", option, text,
             layers - 1);
    return {layer};
}

EvaluationResult evaluate_without(std::int64_t layer, Replica& replica, Mesh& mesh, const PipelineShape& pipeline,
                                  EvaluationSamples samples) {
    samples.without_layer = layer;
    samples.angles = nullptr;
    return evaluate(replica, mesh, pipeline, samples);
}

std::vector<double> angular_distances(const StreamAngles& mine, Mesh& mesh) {
    const std::size_t layers = mine.sums().size();
    // Distances, then tokens. Without sequence parallelism all tensor-parallel ranks have the same rows; the quotients
    // are then the same as with the rows of one rank.
    std::vector<double> sums(2 * layers, 0.0);
    for (std::size_t layer = 0; layer < layers; ++layer) {
        sums[layer] = mine.sums()[layer].distance;
        sums[layers + layer] = double(mine.sums()[layer].tokens);
    }
    mesh.world->all_reduce(sums.data(), std::int64_t(sums.size()), ReduceOp::sum, "angular distances");
    for (std::size_t layer = 0; layer < layers; ++layer) sums[layer] /= std::max(sums[layers + layer], 1.0);
    sums.resize(layers);
    return sums;
}

}  // namespace gpas
