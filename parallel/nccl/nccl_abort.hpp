// Aborts NCCL communicators. Internal to the NCCL communicator.
#pragma once

#include "parallel/nccl/nccl_library.hpp"

#include <chrono>
#include <vector>

namespace gpas {

// Calls ncclCommAbort for each communicator, which also ends its running kernels. Returns when all have been aborted,
// or after `longest`. Each abort has its own thread: an abort frees memory, and CUDA then waits for the kernels of all
// other communicators, which end only when these are aborted, too (github.com/NVIDIA/nccl, pull request 564).
void abort_communicators(const Nccl& nccl, const std::vector<ncclComm_t>& communicators, int device,
                         std::chrono::seconds longest);

}  // namespace gpas
