// A group that carries memory of GPUs by NCCL, in the order of the compute stream; host values go through the group that
// it was made from.
#pragma once

#include "kernels/context.hpp"
#include "parallel/communicator.hpp"

namespace gpas {

// Whether NCCL can carry this job: it was built in, and no two ranks share a GPU (NCCL refuses that). why_not: one line.
// The same answer on every rank; collective.
bool nccl_can_serve(Communicator& world, std::string* why_not);

// Blocking forms and those that were started enqueue work and let the host go on: what follows on the compute stream
// sees their results, and Transfer::wait() makes the stream wait, not the host. Sums of bf16 are taken in NCCL's order.
// Waits of the host itself (initialisation, host values) end after the log's timeout. Collective; the context is kept.
std::unique_ptr<Communicator> make_nccl_communicator(std::unique_ptr<Communicator> host, Context& context);

}  // namespace gpas
