// Runs jobs on threads and returns the results in the order of submission. One thread calls both submit() and take();
// it bounds the queue by calling take() if pending() is too large.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace gpas {

template <class Result>
class OrderedPipeline {
public:
    explicit OrderedPipeline(std::int64_t threads) {
        for (std::int64_t i = 0; i < threads; ++i) {
            threads_.emplace_back([this](std::stop_token stop) { work(stop); });
        }
    }
    OrderedPipeline(const OrderedPipeline&) = delete;
    OrderedPipeline& operator=(const OrderedPipeline&) = delete;
    ~OrderedPipeline() {  // drops jobs that have not started
        for (auto& thread : threads_) thread.request_stop();
        threads_.clear();
    }

    void submit(std::function<Result()> job) {
        std::packaged_task<Result()> task(std::move(job));
        results_.push_back(task.get_future());
        {
            const std::lock_guard lock(mutex_);
            jobs_.push_back(std::move(task));
        }
        wake_.notify_one();
    }
    Result take() {  // waits for the oldest job that was not taken; throws what the job threw
        Result result = results_.front().get();
        results_.pop_front();
        return result;
    }
    std::int64_t pending() const { return std::int64_t(results_.size()); }

private:
    void work(std::stop_token stop) {
        while (true) {
            std::packaged_task<Result()> task;
            {
                std::unique_lock lock(mutex_);
                if (!wake_.wait(lock, stop, [this] { return !jobs_.empty(); }) || stop.stop_requested()) return;
                task = std::move(jobs_.front());
                jobs_.pop_front();
            }
            task();
        }
    }

    std::deque<std::future<Result>> results_;
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::deque<std::packaged_task<Result()>> jobs_;
    std::vector<std::jthread> threads_;
};

}  // namespace gpas
