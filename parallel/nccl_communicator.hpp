// A group that carries memory of GPUs by NCCL, in the order of the compute stream; host values go through the group
// that it was made from.
#pragma once

#include "kernels/context.hpp"
#include "parallel/communicator.hpp"

namespace gpas {

// Whether NCCL can carry this job: it was built in, and no two ranks share a GPU (NCCL refuses that). why_not: one
// line. The same answer on every rank; collective. Error(environment) on every rank if NCCL could carry the job, but
// its library is missing on one of the machines.
bool nccl_can_serve(Communicator& world, std::string* why_not);

// What memory of GPUs a group carries: collectives, or messages to the next rank of the ring (or to the previous one).
// Each message goes through a communicator of its two ends, so that a rank's sends never wait for its receives.
enum class NcclUse { collectives, messages_to_next, messages_to_previous };

// Calls enqueue work beside the compute stream, after what is on it, and let the host go on; what follows on the
// compute stream waits for blocking forms, and after Transfer::wait() for the others. Sums of bf16 are taken in NCCL's
// order. Context::synchronize() gives up after the log's timeout, and at once when NCCL reports an error:
// Error(environment). Collective. The communicator shares ownership of the context's GPU, so that the communicator may
// be destroyed before the context or after it. Splits and duplicates are the host's.
std::unique_ptr<Communicator> make_nccl_communicator(std::unique_ptr<Communicator> host, Context& context, NcclUse use,
                                                     const char* name);

}  // namespace gpas
