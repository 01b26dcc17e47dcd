// The matrix products of a rank's micro-batch, in a list: what is timed, planned and counted before anything runs.
#pragma once

#include "engine/model/stages.hpp"
#include "engine/model/workspace.hpp"
#include "kernels/cuda/matmul_key.hpp"

#include <vector>

namespace gpas {

// Every product that Model computes in forward, in backward (if the shape trains) and in an evaluation of micro-batches
// of the same size, each once and in a fixed order: attention and MLP if a part has layers, the head's chunks if a part
// has the head. Pure.
std::vector<cuda::MatmulKey> products_of(const ModelConfig& model, const ModelShape& shape,
                                         const std::vector<ModelPart>& parts);

}  // namespace gpas
