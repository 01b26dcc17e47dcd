// Marks functions that CPU code and CUDA kernels both call, so that all backends share one formula.
#pragma once

#ifdef __CUDACC__
#define GPAS_HOST_DEVICE __host__ __device__
#else
#define GPAS_HOST_DEVICE
#endif
