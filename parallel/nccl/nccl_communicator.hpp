// A group that sends GPU tensors through NCCL, in the order of the compute stream. Host values and host tensors use the
// group from which it was made.
#pragma once

#include "kernels/context.hpp"
#include "parallel/communicator.hpp"

namespace gpas {

// Which calls a group supports for GPU tensors.
// collectives: collectives. collectives_and_exchanges: also start_exchange(); every pair of ranks is connected at the
// start. messages_to_next: sends to rank + 1 and receives from rank - 1 of the ring (mod size). messages_to_previous:
// the opposite direction. Each pair of sender and receiver has an NCCL communicator of its own, so that a rank's sends
// never wait for its receives.
enum class NcclUse { collectives, collectives_and_exchanges, messages_to_next, messages_to_previous };

// The session owns the NCCL communicators of all groups of a rank. It aborts or finalizes them together, and tracks
// which calls the GPU has finished (nccl_session.hpp). `log`: the log of the groups; it must outlive the session.
// Error(environment) if the NCCL library is missing.
class NcclSession;
std::shared_ptr<NcclSession> make_nccl_session(Context& context, RankShared& rank);

// Makes an NCCL group of the ranks of `host`. Collective; all ranks of the job make their groups in the same order.
// `session`: null makes a session for this group only. `name` is for reports.
// Streams: a call enqueues its work on a stream of its own, after the work that is on the compute stream now, and never
// blocks the host. Later work on the compute stream waits for a blocking call; for a non-blocking one it waits from
// Transfer::wait() on. The log's call ends when the GPU has finished it.
// Numbers: bf16 sums are in NCCL's order.
// Failures: if NCCL reports an error, or the GPU finishes no call for longer than 1.2 × the log's timeout, all
// communicators of the session are aborted and the rank's board gets the reason (gpu_failed). The next call, or
// Context::synchronize(), then throws Error(environment).
// Lifetime: the group shares ownership of the context's GPU, so that group and context may be destroyed in any order.
// split() and duplicate() return groups of `host`, without NCCL.
std::unique_ptr<Communicator> make_nccl_communicator(std::unique_ptr<Communicator> host, Context& context, NcclUse use,
                                                     const char* name, std::shared_ptr<NcclSession> session = nullptr);

}  // namespace gpas
