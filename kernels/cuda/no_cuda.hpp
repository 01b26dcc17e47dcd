// Why a build without CUDA refuses a GPU.
#pragma once

namespace gpas::cuda {

inline constexpr const char no_cuda_reason[] = "this gpas was built without CUDA (no nvcc was found; see docs/cuda.md)";

}  // namespace gpas::cuda
