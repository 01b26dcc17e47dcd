// How many threads a rank computes with.
#pragma once

#include "parallel/communicator.hpp"

namespace gpas {

// configured, or where that is 0: the processors this process may run on, shared among the node's ranks unless the
// launcher has already bound each rank to its own.
int compute_threads(std::int64_t configured, const MpiSession& mpi);

}  // namespace gpas
