// The algorithms that were chosen for products, and the text file in which a run keeps them: one line per product.
#pragma once

#include "kernels/cuda/matmul_key.hpp"

#include <map>
#include <string>

namespace gpas::cuda {

using MatmulChoice = std::array<std::uint64_t, 8>;  // the bytes of a cublasLtMatmulAlgo_t
using MatmulChoices = std::map<MatmulKey, MatmulChoice>;

// Contents of the file. machine: the result of matmul_machine().
std::string text_of(const MatmulChoices& choices, const std::string& machine);
// The choices in a file that text_of() produced. Empty if the file is missing, is truncated, or belongs to a different
// machine or a different version of the format; the caller then times the products again.
MatmulChoices read_matmul_choices(const std::string& file, const std::string& machine);

}  // namespace gpas::cuda
