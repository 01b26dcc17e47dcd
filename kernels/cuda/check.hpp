// Every call of the CUDA runtime goes through check(): Error(environment) naming the call and CUDA's reason.
#pragma once

#include <driver_types.h>

namespace gpas::cuda {

[[noreturn]] void report_failure(cudaError_t error, const char* call);

inline void check(cudaError_t error, const char* call) {
    if (error != cudaSuccess) report_failure(error, call);
}

}  // namespace gpas::cuda
