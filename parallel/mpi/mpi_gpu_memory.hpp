// Whether the MPI library is CUDA-aware: accepts pointers to GPU memory.
#pragma once

namespace gpas {

// The answer of MPIX_Query_cuda_support, an extension of Open MPI (mpi-ext.h) and MPICH (mpi.h). It can depend on the
// environment (MPICH: MPIR_CVAR_ENABLE_GPU). False if the library lacks the extension. Call it after MPI_Init.
bool mpi_takes_gpu_memory();

}  // namespace gpas
