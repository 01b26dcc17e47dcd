// The algorithms that products were given, and the text file in which a run keeps them: one line a product.
#pragma once

#include "kernels/cuda/matmul_key.hpp"

#include <map>
#include <string>

namespace gpas::cuda {

using MatmulChoice = std::array<std::uint64_t, 8>;  // cuBLASLt's description of an algorithm, opaque
using MatmulChoices = std::map<MatmulKey, MatmulChoice>;

// machine: the GPU and the library, in one line.
std::string text_of(const MatmulChoices& choices, const std::string& machine);
// What text_of() wrote. Nothing if the file is missing, is not whole, or is of another machine or of another version of
// the format: the products are then timed again.
MatmulChoices read_matmul_choices(const std::string& file, const std::string& machine);

}  // namespace gpas::cuda
