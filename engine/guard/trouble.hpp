// Who made the first NaN or Inf of a step, and in which tensor.
#pragma once

#include "engine/model/parameters.hpp"
#include "parallel/mesh.hpp"

#include <optional>
#include <string>

namespace gpas {

// What a rank has found of its own.
struct Trouble {
    std::int64_t place = -1;  // in the order in which the step computes: the smaller, the earlier; < 0: nothing found
    std::string text;         // "the weight layers.3.mlp.down.weight is nan at element 17"
};

// Weights as the forward pass reads them, then masters; the first one in forward order. Elements are counted in this
// rank's part of the parameter.
Trouble bad_weight(Context& context, const ParameterStore& store);
// The same of gradients, in backward order.
Trouble bad_gradient(Context& context, const ParameterStore& store);

struct FoundTrouble {
    int rank = -1;
    std::string text;  // "rank 5 (stage 1, tensor rank 1, data rank 0): …"
};
// The earliest of all ranks' findings; among those at the same place that of the lowest rank. The same result on every
// rank. Collective over the world.
std::optional<FoundTrouble> first_of_all(Mesh& mesh, MeshOrder order, const Trouble& mine);

}  // namespace gpas
