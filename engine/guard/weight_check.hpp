// Copies of the same weights on several ranks must be the same bits. Where they are not, memory or a processor has
// failed, or gpas has a bug.
#pragma once

#include "engine/model/parameters.hpp"
#include "parallel/mesh.hpp"

#include <optional>
#include <string>
#include <vector>

namespace gpas {

struct WeightDifference {
    std::vector<int> ranks;  // those that differ from most of their copies; all of them where none are more
    std::string text;        // "layers.3.mlp.down.weight of rank 5 (on n2) differs from 3 other replica(s)"
};

// Compares what data-parallel ranks have alike (weights as the forward pass reads them; masters and moments too where
// the optimizer is not sharded), and what tensor-parallel ranks have alike (norms, gates, …). The same result on every
// rank. Collective over the world.
std::optional<WeightDifference> compare_replicas(Context& context, const ParameterStore& store, Mesh& mesh,
                                                 MeshOrder order);

}  // namespace gpas
