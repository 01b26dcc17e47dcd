// Checks that the copies of the same weights on several ranks have the same bits. If they differ, memory or a processor
// has failed, or gpas has a bug.
#pragma once

#include "engine/model/parameters.hpp"
#include "parallel/mesh.hpp"

#include <optional>
#include <string>
#include <vector>

namespace gpas {

struct WeightDifference {
    std::vector<int> ranks;  // ranks that differ from the majority of their copies; all ranks if there is no majority
    std::string text;        // "layers.3.mlp.down.weight of rank 5 (on n2) differs from 3 other replica(s)"
};

// Compares the state that data-parallel ranks replicate (weights that the forward pass reads; without sharded optimizer
// also masters and moments) and the parameters that tensor-parallel ranks replicate (norms, gates, …), by fingerprints.
// Returns nothing if all copies are equal. The same result on every rank. Collective over the world.
std::optional<WeightDifference> compare_replicas(Context& context, const ParameterStore& store, Mesh& mesh,
                                                 MeshOrder order);

}  // namespace gpas
