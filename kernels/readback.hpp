// Copies a few numbers from the device to the host asynchronously. wait() waits for the copy, and not for work that was
// enqueued after it.
#pragma once

#include "kernels/context.hpp"
#include "kernels/tensor.hpp"

#include <memory>
#include <span>

namespace gpas {

class Readback {
public:
    // Allocates fp64 [count] in host memory (pinned if the device is a GPU), and shares ownership of the context's GPU.
    Readback(Context& context, std::int64_t count);
    ~Readback();
    Readback(const Readback&) = delete;
    Readback& operator=(const Readback&) = delete;

    // Enqueues the copy of `values`, fp64 [count]. It overwrites the values of the previous fetch().
    void fetch(Context& context, Tensor values);
    // Waits until the copy is complete, and returns the values. The span is valid until the next fetch().
    std::span<const double> wait();

private:
    struct OfGpu;
    std::int64_t count_;
    std::unique_ptr<double[]> here_;  // on the CPU
    std::unique_ptr<OfGpu> of_gpu_;
};

}  // namespace gpas
