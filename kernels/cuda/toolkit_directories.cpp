#include "kernels/cuda/toolkit_directories.hpp"

#include <cstdlib>
#include <sstream>

namespace gpas::cuda {

std::vector<std::string> toolkit_directories() {
    std::vector<std::string> directories;
    for (const char* variable : {"CUDA_HOME", "CUDA_PATH"})
        if (const char* root = std::getenv(variable); root != nullptr && *root != '\0')
            for (const char* name : {"/lib64", "/lib"}) directories.push_back(std::string(root) + name);
    std::istringstream built_with(GPAS_CUDA_LIBRARY_DIRECTORIES);
    for (std::string directory; std::getline(built_with, directory, ':');)
        if (!directory.empty()) directories.push_back(directory);
    return directories;
}

}  // namespace gpas::cuda
