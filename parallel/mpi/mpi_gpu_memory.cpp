#include "parallel/mpi/mpi_gpu_memory.hpp"

#include <mpi.h>
#if __has_include(<mpi-ext.h>)
#include <mpi-ext.h>
#endif

namespace gpas {

bool mpi_takes_gpu_memory() { return MPIX_Query_cuda_support() == 1; }

}  // namespace gpas
