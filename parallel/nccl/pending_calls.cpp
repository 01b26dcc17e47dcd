#include "parallel/nccl/pending_calls.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <utility>

namespace gpas {
namespace {

double passed_since(std::chrono::steady_clock::time_point then) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
}

}  // namespace

std::size_t PendingCalls::add_queue() {
    const std::lock_guard lock(mutex_);
    queues_.emplace_back();
    return queues_.size() - 1;
}

void PendingCalls::add(std::size_t queue, std::int64_t call, std::shared_ptr<CudaCompletion> done) {
    const std::lock_guard lock(mutex_);
    queues_[queue].push_back({call, std::move(done), Clock::now()});
}

void PendingCalls::collect_finished() {
    std::size_t count = 0;
    {
        const std::lock_guard lock(mutex_);
        count = queues_.size();
    }
    std::int64_t oldest = 0;
    for (std::size_t queue = 0; queue < count; ++queue) {
        const std::int64_t call = collect_finished(queue);
        if (call != 0) oldest = oldest == 0 ? call : std::min(oldest, call);
    }
    rank_.board.gpu_call.store(oldest, std::memory_order_relaxed);
}

// Asks CUDA without the lock, because the training thread must not wait for the answer.
std::int64_t PendingCalls::collect_finished(std::size_t queue) {
    while (true) {
        Call first;
        {
            const std::lock_guard lock(mutex_);
            if (queues_[queue].empty()) return 0;
            first = queues_[queue].front();
        }
        if (!first.done->reached()) return first.number;
        rank_.calls.end(first.number);
        const std::lock_guard lock(mutex_);
        queues_[queue].pop_front();
        progress_ = Clock::now();
    }
}

double PendingCalls::seconds_since_progress() const {
    const std::lock_guard lock(mutex_);
    return passed_since(progress_);
}

bool PendingCalls::has_stalled(double seconds) const {
    const std::lock_guard lock(mutex_);
    return passed_since(progress_) > seconds && std::any_of(queues_.begin(), queues_.end(), [&](const auto& queue) {
               return !queue.empty() && passed_since(queue.front().enqueued) > seconds;
           });
}

std::string PendingCalls::text() const {
    const std::lock_guard lock(mutex_);
    std::string text;
    for (const std::deque<Call>& queue : queues_) {
        if (queue.empty()) continue;
        text += fmt::format("{}{}", text.empty() ? "; unfinished: " : ", ",
                            text_of(rank_.calls.call(queue.front().number)));
        if (queue.size() > 1) text += fmt::format(" and {} more", queue.size() - 1);
    }
    return text;
}

}  // namespace gpas
