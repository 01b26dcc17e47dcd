#include "kernels/context.hpp"

#include "base/error.hpp"
#include "kernels/cpu/matmul.hpp"
#include "kernels/cuda/gpu.hpp"

#include <omp.h>

#include <utility>

namespace gpas {

Context::Context(int threads, Arena scratch)
    : threads_(threads), scratch_(std::move(scratch)), matmul_cache_(std::make_unique<cpu::MatmulCache>()) {
    require(threads >= 1, "a context needs at least one thread, not {}", threads);
    // Every parallel region of gpas sets its own number of threads. Code that is called inside a region (oneDNN) must
    // not start more threads: it would split sums by the number of threads, and results would depend on that number.
    omp_set_num_threads(1);
    if (device() == Device::cuda) gpu_ = std::make_shared<cuda::Gpu>();
}

Context::~Context() = default;

cuda::Gpu& Context::gpu() {
    require(gpu_ != nullptr, "a CUDA operation in a context of the CPU");
    return *gpu_;
}

std::shared_ptr<cuda::Gpu> Context::shared_gpu() {
    require(gpu_ != nullptr, "a CUDA operation in a context of the CPU");
    return gpu_;
}

void Context::synchronize() {
    if (gpu_) gpu_->synchronize();
}

}  // namespace gpas
