#include "kernels/cuda/check.hpp"

#include "base/error.hpp"

#include <cuda_runtime_api.h>

namespace gpas::cuda {
namespace {

// What a user can do about an error of the CUDA runtime; empty if nothing is known.
const char* advice(cudaError_t error) {
    switch (error) {
        case cudaErrorMemoryAllocation:
            return "; use a smaller training.micro_batch_size, parallel.recompute, or more ranks";
        case cudaErrorNoKernelImageForDevice:
            return "; this gpas was built for sm_80 and later: build it on a machine with this GPU's toolkit";
        default: return "";
    }
}

}  // namespace

void report_failure(cudaError_t error, const char* call) {
    fail(ExitCode::environment, "CUDA: {}: {}{}", call, cudaGetErrorString(error), advice(error));
}

}  // namespace gpas::cuda
