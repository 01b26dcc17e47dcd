// Where CUDA's libraries may lie outside the dynamic loader's paths.
#pragma once

#include <string>
#include <vector>

namespace gpas::cuda {

// lib64 and lib of $CUDA_HOME and $CUDA_PATH, then the directories of the toolkit that gpas was built with.
std::vector<std::string> toolkit_directories();

}  // namespace gpas::cuda
