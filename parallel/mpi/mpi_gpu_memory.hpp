// Whether the MPI library takes pointers to memory of a GPU.
#pragma once

namespace gpas {

// Asks the library of this process; its answer may depend on the environment (MPICH: MPIR_CVAR_ENABLE_GPU). False if
// the library cannot be asked: it lacks MPIX_Query_cuda_support, an extension of Open MPI (mpi-ext.h) and MPICH
// (mpi.h). Called after MPI_Init.
bool mpi_takes_gpu_memory();

}  // namespace gpas
