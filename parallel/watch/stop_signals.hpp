// Signals that request a stop of the run. The watcher's thread receives them (signalfd), so that no handler interrupts
// the training thread.
#pragma once

#include "base/descriptor.hpp"

#include <atomic>
#include <cstdint>

namespace gpas {

// The requested stop. Ranks agree on it at the end of a step.
enum class StopRequest : std::int32_t {
    none,
    unfinished,  // SIGUSR1, SIGUSR2, SIGTERM, SIGHUP, SIGXCPU: save a checkpoint; the scheduler restarts the job
    stop,        // SIGINT: save a checkpoint; the job is not restarted
};

class StopSignals {
public:
    // take: blocks the signals in this thread and the threads that it starts later. A SIGHUP that is ignored (nohup)
    // stays ignored. Without `take` nothing changes.
    explicit StopSignals(bool take);
    int descriptor() const {
        return signals_.get();
    }  // for poll(): readable if a signal has arrived; -1 without `take`
    // Reads the signals that have arrived and updates request(). A second SIGINT ends the process with
    // ExitCode::interrupted.
    void receive(int rank);
    // Any thread.
    StopRequest request() const { return request_; }

private:
    Descriptor signals_;
    std::atomic<StopRequest> request_ = StopRequest::none;
};

}  // namespace gpas
