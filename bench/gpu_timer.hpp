// Measures the time between two points of a GPU stream, without the time that the host needs to enqueue work.
#pragma once

#include "kernels/context.hpp"

#include <memory>

namespace gpas::bench {

class GpuTimer {
public:
    // Times the stream of `context`, which must be on a GPU. Error(internal) in a build without CUDA.
    explicit GpuTimer(Context& context);
    ~GpuTimer();
    GpuTimer(const GpuTimer&) = delete;
    GpuTimer& operator=(const GpuTimer&) = delete;

    void start();   // enqueues the first point
    double stop();  // enqueues the second point and waits for it; returns the seconds between the points

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace gpas::bench
