// Why a run ends before its last step, and when.
#pragma once

#include "parallel/watch/watcher.hpp"

#include <cstdint>
#include <string>

namespace gpas {

// What this rank asks of all, at the end of a step: signals that it got, or the end of the job's time.
class StopClock {
public:
    // watcher: of this rank; none in programs without one. margin: seconds before the end of the job's time.
    StopClock(const Watcher* watcher, double margin_seconds);

    // The step that just ended took so long, saves and evaluation included: the next may take as long.
    StopRequest after_step(double seconds);
    // The same in the middle of a step's evaluation: a signal, or the margin before the end of the job's time.
    StopRequest now() const;
    // Seconds that the job has left; a large number where its end is not known.
    double seconds_left() const;

private:
    const Watcher* watcher_;
    double margin_seconds_;
    double longest_ = 0.0;  // of recent steps
};

}  // namespace gpas
