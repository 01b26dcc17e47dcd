// What `gpas --version` prints.
#pragma once

#include <string>

namespace gpas {

// Lines without a newline at the end: version and commit, then the compiler, CUDA, the MPI library and HDF5. May be
// called before MPI_Init.
std::string version_text();

}  // namespace gpas
