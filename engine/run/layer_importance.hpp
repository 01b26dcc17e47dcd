// What each layer of a trained model contributes. First, the loss without the layer, as in the analysis of the GPAS
// paper (arXiv 2506.22049, section 5): single layers are removed and the model is evaluated again. Second, the angle by
// which the layer turns the residual stream (engine/model/stream_angles.hpp).
#pragma once

#include "engine/run/evaluate.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace gpas {

// The layers that `text` names: one number from 0 to layers - 1, or `all`. Error(usage) names option, text and range.
std::vector<std::int64_t> parse_layers(const std::string& option, const std::string& text, std::int64_t layers);

// evaluate() without one layer (ForwardExtras::without_layer). Every rank gives the same layer, also ranks that do not
// have it. The same result on every rank. Collective over the mesh.
EvaluationResult evaluate_without(std::int64_t layer, Replica& replica, Mesh& mesh, const PipelineShape& pipeline,
                                  EvaluationSamples samples);

// The angular distance of each layer, 0 to 1, over the tokens of all ranks. mine: of an evaluate() in which every rank
// gave its own StreamAngles (EvaluationSamples::angles). The same result on every rank. Collective over the mesh.
std::vector<double> angular_distances(const StreamAngles& mine, Mesh& mesh);

}  // namespace gpas
