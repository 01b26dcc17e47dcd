// Finds the rank and the tensor of the first NaN or Inf of a step.
#pragma once

#include "engine/model/parameters.hpp"
#include "parallel/mesh.hpp"

#include <optional>
#include <string>

namespace gpas {

// The first bad number that a rank has found in its own tensors.
struct Trouble {
    std::int64_t place = -1;  // position in the order in which the step computes; < 0: no bad number
    std::string text;         // "the weight layers.3.mlp.down.weight is nan at element 17"
};

// The first NaN or Inf in forward order, in the weights that the forward pass reads, then in the masters. The text
// gives the element's index in this rank's slab of the parameter.
Trouble bad_weight(Context& context, const ParameterStore& store);
// The first NaN or Inf of the gradients, in backward order.
Trouble bad_gradient(Context& context, const ParameterStore& store);

struct FoundTrouble {
    int rank = -1;
    std::string text;  // "rank 5 (stage 1, tensor rank 1, data rank 0): …"
};
// The earliest bad number of all ranks, and at equal places that of the lowest rank; nothing if no rank has one. mine:
// of this rank. The same result on every rank. Collective over the world.
std::optional<FoundTrouble> first_of_all(Mesh& mesh, MeshOrder order, const Trouble& mine);

}  // namespace gpas
