// The calls that were enqueued on this rank's GPU and have not finished there. Internal to the NCCL communicator.
#pragma once

#include "parallel/board/rank_shared.hpp"
#include "parallel/nccl/cuda_events.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace gpas {

// Thread-safe. One thread at a time calls collect_finished().
class PendingCalls {
public:
    explicit PendingCalls(RankShared& rank) : rank_(rank) {}  // `rank` must outlive this object

    // Adds a queue and returns its index. The calls of a queue finish in the order in which they were added.
    std::size_t add_queue();
    // call: the number of the call in the log.
    void add(std::size_t queue, std::int64_t call, std::shared_ptr<CudaCompletion> done);

    // Ends in the log the calls that the GPU has finished, and shows the oldest unfinished call on the board.
    // Error(environment) if CUDA reports an error.
    void collect_finished();

    // Seconds since the GPU last finished a call.
    double seconds_since_progress() const;
    // Whether a call has been pending for more than `seconds`, and the GPU has finished no call within this time.
    bool has_stalled(double seconds) const;
    // "; unfinished: all_reduce of gradients over data (…) and 3 more, …": the oldest call of each queue. Empty if all
    // calls have finished.
    std::string text() const;

private:
    using Clock = std::chrono::steady_clock;
    struct Call {
        std::int64_t number = 0;  // in the log
        std::shared_ptr<CudaCompletion> done;
        Clock::time_point enqueued;
    };
    // Ends the finished calls of a queue. Returns the number of its oldest unfinished call; 0: all have finished.
    std::int64_t collect_finished(std::size_t queue);

    RankShared& rank_;
    mutable std::mutex mutex_;              // guards the members below
    std::vector<std::deque<Call>> queues_;  // the oldest call of a queue first
    Clock::time_point progress_ = Clock::now();
};

}  // namespace gpas
