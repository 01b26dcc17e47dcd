#include "bench/gpu_timer.hpp"

#include "kernels/cuda/check.hpp"
#include "kernels/cuda/gpu.hpp"

#include <cuda_runtime_api.h>

namespace gpas::bench {

struct GpuTimer::Impl {
    cudaStream_t stream = nullptr;
    cudaEvent_t begin = nullptr;
    cudaEvent_t end = nullptr;

    explicit Impl(void* of) : stream(static_cast<cudaStream_t>(of)) {
        cuda::check(cudaEventCreate(&begin), "cudaEventCreate");
        cuda::check(cudaEventCreate(&end), "cudaEventCreate");
    }
    ~Impl() {
        cudaEventDestroy(begin);
        cudaEventDestroy(end);
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
};

GpuTimer::GpuTimer(Context& context) : impl_(std::make_unique<Impl>(context.gpu().stream())) {}
GpuTimer::~GpuTimer() = default;

void GpuTimer::start() { cuda::check(cudaEventRecord(impl_->begin, impl_->stream), "cudaEventRecord"); }

double GpuTimer::stop() {
    cuda::check(cudaEventRecord(impl_->end, impl_->stream), "cudaEventRecord");
    cuda::check(cudaEventSynchronize(impl_->end), "cudaEventSynchronize");
    float milliseconds = 0.0F;
    cuda::check(cudaEventElapsedTime(&milliseconds, impl_->begin, impl_->end), "cudaEventElapsedTime");
    return double(milliseconds) * 1e-3;
}

}  // namespace gpas::bench
