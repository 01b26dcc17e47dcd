// Signals that ask a run to stop, taken by a thread that waits for them.
#pragma once

#include "base/descriptor.hpp"

#include <atomic>
#include <cstdint>

namespace gpas {

// What somebody outside wants of the run. Ranks agree on it at the end of a step.
enum class StopRequest : std::int32_t {
    none,
    unfinished,  // SIGUSR1, SIGUSR2, SIGTERM, SIGHUP, SIGXCPU: save, and let the scheduler start the job again
    stop,        // SIGINT: save, and let it be
};

class StopSignals {
public:
    // Blocks the signals in this thread and all that it starts. Without `take` it leaves them alone. A SIGHUP that is
    // ignored (nohup) stays ignored.
    explicit StopSignals(bool take);
    int descriptor() const { return signals_.get(); }  // readable when one has come; -1: none is taken
    // Those that have come. A second SIGINT ends the process.
    void receive(int rank);
    StopRequest request() const { return request_; }

private:
    Descriptor signals_;
    std::atomic<StopRequest> request_ = StopRequest::none;
};

}  // namespace gpas
