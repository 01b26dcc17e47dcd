// Actions that a watcher runs before it ends the process, such as aborting NCCL communicators.
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
    // One action per owner; a second one replaces the first.
    void add(const void* owner, std::function<void()> act) {
        const std::lock_guard lock(acting_);
        acts_[owner] = std::move(act);
    }
    // Waits until run() has finished its actions, so that no owner is destroyed while its action runs.
    void remove(const void* owner) {
        const std::lock_guard lock(acting_);
        acts_.erase(owner);
    }
    // Runs all actions on a thread of its own. Returns when they have finished, or after `seconds`: an action that
    // hangs must not keep the process alive.
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
