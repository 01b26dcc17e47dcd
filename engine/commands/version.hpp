// The output of `gpas --version`.
#pragma once

#include <string>

namespace gpas {

// Several lines, without a final newline: version and commit, compiler, CUDA, MPI library, HDF5. May be called before
// MPI_Init.
std::string version_text();

}  // namespace gpas
