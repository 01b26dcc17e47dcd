// Ranks as threads of one process, for tests (ThreadSanitizer sees what they share).
#pragma once

#include "parallel/communicator.hpp"

#include <functional>

namespace gpas {

// Runs body(world) on `ranks` threads, each with its own world, and returns when all have. Rethrows the error of the
// lowest rank that has one; the others then end with an error of their own at their next call.
void run_as_threads(int ranks, const std::function<void(Communicator& world)>& body);

}  // namespace gpas
