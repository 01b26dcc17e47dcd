// The time of day.
#pragma once

#include <chrono>

namespace gpas {

// Seconds since 1970-01-01 00:00 UTC. For durations use Stopwatch: the time of day can be changed while a program runs.
inline double seconds_since_1970() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace gpas
