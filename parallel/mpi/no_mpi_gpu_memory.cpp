// Used if the MPI library has no MPIX_Query_cuda_support.
#include "parallel/mpi/mpi_gpu_memory.hpp"

namespace gpas {

bool mpi_takes_gpu_memory() { return false; }

}  // namespace gpas
