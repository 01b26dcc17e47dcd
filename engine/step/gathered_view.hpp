// Gathers what a step shows of the model from the ranks that have it: moments of the residual stream, and gates.
#pragma once

#include "engine/step/replica.hpp"

#include <vector>

namespace gpas {

// Moments of the residual stream after each sub-layer (attention and MLP of layer 0, of layer 1, …) of the whole model,
// in the micro-batch that `mine` was taken of. mine: of this rank's layers. Collective over a copy of the model (tensor
// and pipeline groups); the same result on its ranks.
std::vector<Moments> gather_stream(const RunConfig& config, const ReplicaShape& shape, Mesh& mesh,
                                   const std::vector<Moments>& mine);
// Raw values g of all gates, in the order of the model's parameters. Collective over the pipeline; the same result on
// every rank.
std::vector<float> gather_gates(const RunConfig& config, Replica& replica, Mesh& mesh);

}  // namespace gpas
