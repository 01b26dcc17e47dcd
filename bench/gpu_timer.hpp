// Time as a GPU sees it: between two points of a stream, without what the host needs to enqueue them.
#pragma once

#include "kernels/context.hpp"

#include <memory>

namespace gpas::bench {

class GpuTimer {
public:
    // Of the stream of a context on a GPU. Error(internal) in a build without CUDA.
    explicit GpuTimer(Context& context);
    ~GpuTimer();
    GpuTimer(const GpuTimer&) = delete;
    GpuTimer& operator=(const GpuTimer&) = delete;

    void start();   // enqueued
    double stop();  // waits; seconds since start() as the GPU came by

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace gpas::bench
