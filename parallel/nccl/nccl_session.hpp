// All NCCL communicators of a rank, under one owner: they are aborted together, before anything is freed, or finalized
// together. A thread of the session watches what the GPU has finished, also while the host is blocked in a call of
// CUDA.
#pragma once

#include "kernels/cuda/gpu.hpp"
#include "parallel/comm_log.hpp"
#include "parallel/nccl/cuda_events.hpp"
#include "parallel/nccl/nccl_library.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace gpas {

// One NCCL communicator and the stream that its work is enqueued on. Belongs to its session.
struct NcclChannel {
    struct Pending {
        std::int64_t call = 0;  // its number in the log
        std::shared_ptr<CudaCompletion> done;
        std::chrono::steady_clock::time_point enqueued;
    };
    std::string group;
    ncclComm_t comm = nullptr;
    cudaStream_t stream = nullptr;
    std::deque<Pending> pending;           // what the GPU has not finished, the oldest first
    std::shared_ptr<CudaCompletion> sent;  // the last send, if its end is not recorded yet
};

// One thread of the program enqueues; abort_all() and failed() may be called from any.
class NcclSession {
public:
    // For the GPU that this thread has chosen. The log outlives the session. Error(environment) without NCCL.
    NcclSession(std::shared_ptr<cuda::Gpu> gpu, CommLog& log);
    // Ends the communicators: finalizes all, waits until all are quiet, destroys all. Aborts them instead after a failure, or
    // while an error unwinds the stack.
    ~NcclSession();
    NcclSession(const NcclSession&) = delete;
    NcclSession& operator=(const NcclSession&) = delete;

    const Nccl& nccl() const { return nccl_; }
    CommLog& log() { return log_; }
    ncclUniqueId new_id();

    // What a communicator is for: how many of the GPU's multiprocessors its kernels may hold. Those of all communicators
    // of a rank (four groups, four directions of messages) take five eighths of them at most, so that all can run at once.
    enum class Size { collectives, messages };
    struct Member {
        std::string group;
        Size size = Size::collectives;
        int rank = 0;
        int ranks = 1;
        ncclUniqueId id;
    };
    // Makes communicators, in one group call of NCCL. Collective over the ranks of each of them; waits for them.
    std::vector<NcclChannel*> open(const std::vector<Member>& members);

    struct Work {
        NcclChannel* channel;
        std::function<ncclResult_t(const NcclChannel&)> call;
    };
    // Makes the first calls of new communicators, on a few bytes of the session's own, and waits for them: NCCL
    // connects ranks at their first call, which later would hold up the host in the midst of a step.
    void connect(const std::vector<Work>& first_calls);
    void* scratch() { return scratch_; }  // of 1 KiB, on the GPU

    // Enqueues a call on its channel's stream, behind `after`. What is returned is reached when the GPU has finished it; the
    // log's call ends then. `call`: its number in the log. The end of a send is recorded as late as possible: when
    // somebody waits for the send, or before the next work on the stream of the send. The record blocks its hardware queue
    // until the send has ended. If streams share a queue, a receive behind the record would be blocked as well, and two
    // neighbours that send to each other would wait for each other.
    enum class Kind { collective, send, receive };
    std::shared_ptr<CudaCompletion> enqueue(const Work& work, std::int64_t call, const CudaEvent& after, Kind kind);

    // Error(environment) if the session has failed.
    void check() const;
    bool failed() const { return failed_; }
    // Ends all that the communicators have under way. They cannot be used any more. Returns when that is done, or after
    // a few seconds.
    void abort_all() noexcept;

private:
    using Clock = std::chrono::steady_clock;

    void check_call(ncclResult_t result, const char* call);
    ncclResult_t state_of(const NcclChannel& channel);  // ncclInProgress, ncclSuccess, or its error
    void wait_until_ready(const std::vector<NcclChannel*>& channels, std::int64_t call, bool show_waiting);
    [[noreturn]] void fail_with(const std::string& why);
    void give_up(const std::string& why) noexcept;
    double limit_seconds() const;
    std::string unfinished() const;

    void look_after_calls();
    void collect_finished();
    void look_for_errors();
    void look_for_stall();
    void watch_synchronize(double seconds);
    void finalize_all();

    const Nccl nccl_ = load_nccl();
    std::shared_ptr<cuda::Gpu> gpu_;
    CommLog& log_;
    int device_ = 0;
    void* scratch_ = nullptr;
    std::shared_ptr<CudaEventPool> events_ = std::make_shared<CudaEventPool>();

    std::recursive_timed_mutex calls_;  // of NCCL: one at a time
    mutable std::mutex mutex_;          // of what follows
    std::vector<std::unique_ptr<NcclChannel>> channels_;
    Clock::time_point progress_ = Clock::now();  // when the GPU last finished a call
    std::string why_;                            // it has failed
    std::atomic<bool> failed_ = false;
    bool aborted_ = false;
    bool ending_ = false;
    std::condition_variable changed_;
    std::thread watcher_;  // last: it uses all of the above
};

}  // namespace gpas
