// Ranks as threads of one process, for tests. ThreadSanitizer then checks accesses to the data that ranks share.
#pragma once

#include "parallel/communicator.hpp"

#include <functional>

namespace gpas {

// Runs body(world) on `ranks` threads, each with its own world communicator. Returns when all threads have ended. If a
// rank throws, all other ranks throw an Error in their current or next call; then this function rethrows the exception
// of the lowest rank that failed.
void run_as_threads(int ranks, const std::function<void(Communicator& world)>& body);

}  // namespace gpas
