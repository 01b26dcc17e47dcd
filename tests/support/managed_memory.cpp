#include "kernels/cuda/check.hpp"
#include "tests/support/test_device.hpp"

#include <cuda_runtime_api.h>

namespace gpas::test_support {

void* allocate_shared(std::size_t bytes) {
    void* memory = nullptr;
    cuda::check(cudaMallocManaged(&memory, bytes), "cudaMallocManaged");
    return memory;
}
void release_shared(void* memory) noexcept { cudaFree(memory); }
bool kernels_are_slow() { return false; }

void set_device_bytes(void* memory, int value, std::size_t bytes) {
    cuda::check(cudaMemset(memory, value, bytes), "cudaMemset");
    cuda::check(cudaDeviceSynchronize(), "cudaMemset");
}

}  // namespace gpas::test_support
