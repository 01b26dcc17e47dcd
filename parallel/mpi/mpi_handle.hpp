// The MPI_Comm of a Communicator, for libraries that call MPI themselves (parallel HDF5).
#pragma once

#include "parallel/communicator.hpp"

#include <mpi.h>

namespace gpas {

// Returns MPI_COMM_SELF if the communicator is not an MPI group (the group of one rank). Valid while the communicator
// exists.
MPI_Comm mpi_handle(const Communicator& group);

// Throws Error(environment) with MPI's error text if `code` is not MPI_SUCCESS. The message is "<call> of <what>
// failed: …".
void check_mpi(int code, const char* call, const char* what);

}  // namespace gpas
