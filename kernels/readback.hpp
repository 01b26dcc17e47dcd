// A few numbers of the device that the host reads later: what is enqueued behind the copy does not delay them.
#pragma once

#include "kernels/context.hpp"
#include "kernels/tensor.hpp"

#include <memory>
#include <span>

namespace gpas {

class Readback {
public:
    // Room for fp64 [count] in pinned memory of the host; keeps the context's GPU.
    Readback(Context& context, std::int64_t count);
    ~Readback();
    Readback(const Readback&) = delete;
    Readback& operator=(const Readback&) = delete;

    // Enqueues the copy of values, fp64 [count]. What was fetched before is gone.
    void fetch(Context& context, Tensor values);
    // Waits until they are here. Valid until the next fetch().
    std::span<const double> wait();

private:
    struct OfGpu;
    std::int64_t count_;
    std::unique_ptr<double[]> here_;  // on the CPU
    std::unique_ptr<OfGpu> of_gpu_;
};

}  // namespace gpas
