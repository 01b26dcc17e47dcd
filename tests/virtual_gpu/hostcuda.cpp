// What tests/hostcuda asks of the GPU that its kernels run on: here the virtual one.
#include "tests/hostcuda/device_memory.hpp"
#include "tests/hostcuda/run.hpp"
#include "tests/virtual_gpu/device.hpp"

#include <utility>

namespace gpas::hostcuda {

void enqueue(void* stream, const void* kernel, std::function<void()> body) {
    auto* const on = static_cast<virtual_gpu::Stream*>(stream);
    on->device->launch(on, kernel, std::move(body));
}

// An operation that runs has all of its GPU's memory already.
DeviceAccess::DeviceAccess() = default;
DeviceAccess::~DeviceAccess() = default;

}  // namespace gpas::hostcuda
