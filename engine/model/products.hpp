// The list of a rank's matrix products for one micro-batch. Algorithms are timed and time is planned from this list
// before anything runs.
#pragma once

#include "engine/model/stages.hpp"
#include "engine/model/workspace.hpp"
#include "kernels/cuda/matmul_key.hpp"

#include <vector>

namespace gpas {

// Every product that Model computes in forward, in backward (if the shape trains) and in an evaluation with
// micro-batches of the same size. Each product is listed once, in a fixed order: attention and MLP if a part has
// layers, the head's chunks if a part has the head. Pure.
std::vector<cuda::MatmulKey> products_of(const ModelConfig& model, const ModelShape& shape,
                                         const std::vector<ModelPart>& parts);

}  // namespace gpas
