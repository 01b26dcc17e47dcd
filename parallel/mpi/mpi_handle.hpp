// The MPI_Comm behind a Communicator, for libraries that speak MPI themselves (parallel HDF5).
#pragma once

#include "parallel/communicator.hpp"

#include <mpi.h>

namespace gpas {

// MPI_COMM_SELF for a communicator of one rank that has no MPI behind it. Valid as long as the communicator is.
MPI_Comm mpi_handle(const Communicator& group);

// Throws Error(environment) with MPI's own words when `code` is not MPI_SUCCESS.
void check_mpi(int code, const char* call, const char* what);

}  // namespace gpas
