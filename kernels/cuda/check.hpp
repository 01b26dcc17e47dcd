// Every call of the CUDA runtime whose result matters goes through check(). It throws Error(environment) with the name
// of the call and CUDA's reason.
#pragma once

#include <driver_types.h>

namespace gpas::cuda {

[[noreturn]] void report_failure(cudaError_t error, const char* call);

inline void check(cudaError_t error, const char* call) {
    if (error != cudaSuccess) report_failure(error, call);
}

}  // namespace gpas::cuda
