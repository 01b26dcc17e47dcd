// Marks functions that kernels call too: formulas live in one place for every backend.
#pragma once

#ifdef __CUDACC__
#define GPAS_HOST_DEVICE __host__ __device__
#else
#define GPAS_HOST_DEVICE
#endif
