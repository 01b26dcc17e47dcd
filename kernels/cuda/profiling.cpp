#include "kernels/cuda/profiling.hpp"

#include "kernels/cuda/check.hpp"

#include <cuda_profiler_api.h>
#include <nvtx3/nvToolsExt.h>

namespace gpas::cuda {

void Range::begin(const char* name) { nvtxRangePushA(name); }
void Range::end() { nvtxRangePop(); }

void start_profiler() { check(cudaProfilerStart(), "cudaProfilerStart"); }
void stop_profiler() { check(cudaProfilerStop(), "cudaProfilerStop"); }

}  // namespace gpas::cuda
