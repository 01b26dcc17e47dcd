#include "kernels/readback.hpp"

#include "base/error.hpp"
#include "kernels/cuda/gpu.hpp"

#include <cstring>

namespace gpas {

struct Readback::OfGpu {
    OfGpu(std::shared_ptr<cuda::Gpu> of, std::int64_t bytes)
        : gpu(std::move(of)), arrived(gpu), memory(cuda::allocate_pinned(bytes)) {}
    ~OfGpu() { cuda::release_pinned(memory); }
    OfGpu(const OfGpu&) = delete;
    OfGpu& operator=(const OfGpu&) = delete;

    std::shared_ptr<cuda::Gpu> gpu;
    cuda::Mark arrived;
    void* memory;
};

Readback::Readback(Context& context, std::int64_t count) : count_(count) {
    if (context.on_cpu())
        here_ = std::make_unique<double[]>(std::size_t(count));
    else
        of_gpu_ = std::make_unique<OfGpu>(context.shared_gpu(), count * std::int64_t(sizeof(double)));
}
Readback::~Readback() = default;

void Readback::fetch(Context& context, Tensor values) {
    require(values.dtype == Dtype::fp64 && values.elements() == count_ && values.device == context.device(),
            "{} are not the {} numbers to read", values.describe(), count_);
    if (context.on_cpu()) {
        std::memcpy(here_.get(), values.data, std::size_t(values.bytes()));
        return;
    }
    of_gpu_->gpu->copy_to_pinned(of_gpu_->memory, values.data, values.bytes());
    of_gpu_->arrived.set();
}

std::span<const double> Readback::wait() {
    if (!of_gpu_) return {here_.get(), std::size_t(count_)};
    of_gpu_->arrived.wait();
    return {static_cast<const double*>(of_gpu_->memory), std::size_t(count_)};
}

}  // namespace gpas
