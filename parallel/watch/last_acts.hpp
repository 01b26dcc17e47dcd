// What a process still does before its watcher ends it: calls on a GPU are aborted, for one.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace gpas {

// Thread-safe.
class LastActs : public std::enable_shared_from_this<LastActs> {
public:
    void add(const void* owner, std::function<void()> act) {
        const std::lock_guard lock(acting_);
        acts_[owner] = std::move(act);
    }
    // Waits for run(), so that an owner does not go while its act is under way.
    void remove(const void* owner) {
        const std::lock_guard lock(acting_);
        acts_.erase(owner);
    }
    // Returns when all are done, or after so many seconds: an act may hang, and must not keep the process.
    void run(double seconds) {
        std::thread([self = shared_from_this()] {
            {
                const std::lock_guard lock(self->acting_);
                for (const auto& [owner, act] : self->acts_) act();
            }
            const std::lock_guard lock(self->mutex_);
            self->over_ = true;
            self->changed_.notify_all();
        }).detach();
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return over_; });
    }

private:
    std::mutex acting_;
    std::map<const void*, std::function<void()>> acts_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool over_ = false;
};

}  // namespace gpas
