// A group that carries memory of GPUs by NCCL, in the order of the compute stream; host values go through the group
// that it was made from.
#pragma once

#include "kernels/context.hpp"
#include "parallel/communicator.hpp"

namespace gpas {

// What memory of GPUs a group carries: collectives (and start_exchange(), for which every pair of ranks is connected), or
// messages to the next rank of the ring (or to the previous one).
// Each message goes through a communicator of its two ends, so that a rank's sends never wait for its receives.
enum class NcclUse { collectives, collectives_and_exchanges, messages_to_next, messages_to_previous };

// What all NCCL groups of a rank share: their communicators have one owner, which aborts or ends them together, and watches
// what the GPU has finished (nccl_session.hpp). `log`: of the groups, which outlives the session. Error(environment) without
// NCCL.
class NcclSession;
std::shared_ptr<NcclSession> make_nccl_session(Context& context, CommLog& log);

// Calls enqueue work beside the compute stream, after what is on it, and let the host go on; what follows on the
// compute stream waits for blocking forms, and after Transfer::wait() for the others. Sums of bf16 are taken in NCCL's
// order. A call is logged as ended when the GPU has finished it. If NCCL reports an error, or the GPU finishes nothing for
// longer than the log's timeout and a fifth, all communicators of the session are aborted, the rank's board says why
// (gpu_failed), and the next call, or Context::synchronize(), throws Error(environment). Collective; the groups of a job
// are made in the same order on all ranks. The communicator shares ownership of the context's GPU, so that the
// communicator may be destroyed before the context or after it. Splits and duplicates are the host's. Without a session the
// communicator gets one of its own.
std::unique_ptr<Communicator> make_nccl_communicator(std::unique_ptr<Communicator> host, Context& context, NcclUse use,
                                                     const char* name, std::shared_ptr<NcclSession> session = nullptr);

}  // namespace gpas
