#pragma once

#include <chrono>

namespace gpas {

// Measures seconds with the steady clock, since construction or the last lap().
class Stopwatch {
public:
    // Returns seconds() and restarts at zero.
    double lap() {
        const auto now = std::chrono::steady_clock::now();
        const double seconds = std::chrono::duration<double>(now - start_).count();
        start_ = now;
        return seconds;
    }
    double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace gpas
