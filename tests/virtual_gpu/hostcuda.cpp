// The functions that tests/hostcuda requires from the GPU on which its kernels run: here the virtual GPU.
#include "tests/hostcuda/device_memory.hpp"
#include "tests/hostcuda/run.hpp"
#include "tests/virtual_gpu/device.hpp"

#include <utility>

namespace gpas::hostcuda {

void enqueue(void* stream, const void* kernel, std::function<void()> body) {
    auto* const on = static_cast<virtual_gpu::Stream*>(stream);
    on->device->launch(on, kernel, std::move(body));
}

// A running operation already has access to all memory of its GPU.
DeviceAccess::DeviceAccess() = default;
DeviceAccess::~DeviceAccess() = default;

}  // namespace gpas::hostcuda
