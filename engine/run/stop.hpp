// Decides whether a run stops before its last step: after a signal, or before the end of the job's time.
#pragma once

#include "parallel/watch/watcher.hpp"

#include <cstdint>
#include <string>

namespace gpas {

// This rank's request to stop, which it sends to all ranks at the end of a step. Not thread-safe.
class StopClock {
public:
    // watcher: of this rank; null in programs without a watcher. margin_seconds: to stop before the end of the job's
    // time.
    StopClock(const Watcher* watcher, double margin_seconds);

    // After a step that took `seconds`, saves and evaluation included. The request is made if the job may not have time
    // for another step of that length and the margin.
    StopRequest after_step(double seconds);
    // During an evaluation: the request after a signal, or if less than the margin of the job's time is left.
    StopRequest now() const;
    // Seconds until the end of the job's time; infinity if the end is not known.
    double seconds_left() const;

private:
    const Watcher* watcher_;
    double margin_seconds_;
    double longest_ = 0.0;  // seconds of the longest recent step
};

}  // namespace gpas
