// Directories to search for CUDA's libraries if the dynamic loader does not find them.
#pragma once

#include <string>
#include <vector>

namespace gpas::cuda {

// In order: lib64 and lib in $CUDA_HOME, lib64 and lib in $CUDA_PATH, library directories of the toolkit that gpas was
// built with. Unset variables are skipped.
std::vector<std::string> toolkit_directories();

}  // namespace gpas::cuda
