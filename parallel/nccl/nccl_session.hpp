// The owner of all NCCL communicators of a rank. It aborts them together, before any memory is freed, or finalizes them
// together. A thread of the session tracks which calls the GPU has finished, also while the host is blocked in a CUDA
// call. (PyTorch's counterpart is ProcessGroupNCCL with its watchdog thread.)
#pragma once

#include "kernels/cuda/gpu.hpp"
#include "parallel/board/rank_shared.hpp"
#include "parallel/nccl/cuda_events.hpp"
#include "parallel/nccl/nccl_library.hpp"
#include "parallel/nccl/pending_calls.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace gpas {

// One NCCL communicator and the stream on which its work is enqueued. The session owns both.
struct NcclChannel {
    std::string group;
    ncclComm_t comm = nullptr;
    cudaStream_t stream = nullptr;
    std::size_t queue = 0;  // of PendingCalls
    std::shared_ptr<CudaCompletion>
        sent;  // of a send that is the last call: its end may not be recorded yet. Else null
};

// Thread safety: the training thread makes all calls; any thread may call abort_all() and failed().
class NcclSession {
public:
    // Uses the current CUDA device of this thread. `rank` must outlive the session. Error(environment) if the NCCL
    // library is missing.
    NcclSession(std::shared_ptr<cuda::Gpu> gpu, RankShared& rank);
    // Finalizes all communicators, waits until all have finished, destroys them. Aborts them instead if an exception is
    // unwinding the stack, or if finalizing fails or takes too long. After a failure they are already aborted.
    ~NcclSession();
    NcclSession(const NcclSession&) = delete;
    NcclSession& operator=(const NcclSession&) = delete;

    const Nccl& nccl() const { return nccl_; }
    ncclUniqueId new_id();  // ncclGetUniqueId. Error(environment)

    // How many multiprocessors (SMs) a communicator's kernels may occupy: 1/8 of the GPU for collectives, 1/32 for
    // messages (maxCTAs). The communicators of a rank, four groups and four directions of messages, then occupy at most
    // 5/8 of the GPU. All of them can therefore run at the same time and do not deadlock for lack of SMs.
    enum class Size { collectives, messages };
    struct Member {
        std::string group;
        Size size = Size::collectives;
        int rank = 0;
        int ranks = 1;
        ncclUniqueId id;
    };
    // Makes one communicator per member, in one NCCL group call. Collective over the ranks of each communicator. Blocks
    // until they are ready. Error(environment), also after a timeout. The session owns the result.
    std::vector<NcclChannel*> open(const std::vector<Member>& members);

    struct Work {
        NcclChannel* channel;
        std::function<ncclResult_t(const NcclChannel&)> call;
    };
    // Makes the first calls of new communicators, on the session's scratch memory, and blocks until they have finished.
    // NCCL connects ranks at the first call, which would otherwise block the host during a step. Error(environment).
    void connect(const std::vector<Work>& first_calls);
    void* scratch() { return scratch_; }  // 1 KiB of GPU memory

    // Enqueues a call on its channel's stream, after `after`. `call`: the number of the call in the log. The returned
    // completion is reached when the GPU has finished the call; the session then ends the log's call.
    // The end of a send is recorded as late as possible: when a transfer waits for the send, or before the next work on
    // its stream. The reason: a record blocks its hardware queue until the send has ended. Streams can share a hardware
    // queue (CUDA_DEVICE_MAX_CONNECTIONS). A receive behind the record would then be blocked as well, and two
    // neighbours that send to each other would deadlock.
    enum class Kind { collective, send, receive };
    std::shared_ptr<CudaCompletion> enqueue(const Work& work, std::int64_t call, const CudaEvent& after, Kind kind);

    // Throws Error(environment) with the reason if the session has failed.
    void check() const;
    bool failed() const { return failed_; }
    // Aborts all communicators (ncclCommAbort) and their running kernels; further calls throw. Returns when all are
    // aborted, but after 4 seconds at the latest: 1 s to wait for an NCCL call of another thread, 3 s for the aborts.
    void abort_all() noexcept;

private:
    using Clock = std::chrono::steady_clock;

    // Fails the session if a result is neither ncclSuccess nor ncclInProgress.
    void check_call(ncclResult_t result, const char* call);
    ncclResult_t state_of(const NcclChannel& channel);  // ncclInProgress (also after an abort), ncclSuccess or an error
    void wait_until_ready(const std::vector<NcclChannel*>& channels, std::int64_t call, bool show_waiting);
    [[noreturn]] void fail_with(const std::string& why);  // give_up(), then Error(environment)
    void give_up(const std::string& why) noexcept;        // aborts all communicators and reports it on the board
    double limit_seconds() const;

    // The session's thread, and its three tasks: to end finished calls in the log, to query asynchronous errors of
    // NCCL, and to detect that the GPU finishes no call.
    void look_after_calls();
    void look_for_errors();
    void look_for_stall();
    void watch_synchronize(double seconds);
    void finalize_all();

    const Nccl nccl_ = load_nccl();
    std::shared_ptr<cuda::Gpu> gpu_;
    RankShared& rank_;
    int device_ = 0;
    void* scratch_ = nullptr;
    std::shared_ptr<CudaEventPool> events_ = std::make_shared<CudaEventPool>();

    PendingCalls pending_{rank_};
    std::recursive_timed_mutex calls_;  // held during each NCCL call: one call at a time
    mutable std::mutex mutex_;          // guards the members below
    std::vector<std::unique_ptr<NcclChannel>> channels_;
    std::string why_;  // the reason of the failure
    std::atomic<bool> failed_ = false;
    bool aborted_ = false;
    bool ending_ = false;
    std::condition_variable changed_;
    std::thread watcher_;  // declared last, because it uses all members above
};

}  // namespace gpas
