// Memory of the emulated GPU: the host cannot touch it but through the operations of the device, as on a real one.
#pragma once

#include <cstdint>

namespace gpas::hostcuda {

void* allocate_device(std::int64_t bytes);  // zeroed
void release_device(void* memory) noexcept;

// While one exists, device memory can be read and written.
class DeviceAccess {
public:
    DeviceAccess();
    ~DeviceAccess();
    DeviceAccess(const DeviceAccess&) = delete;
    DeviceAccess& operator=(const DeviceAccess&) = delete;
};

}  // namespace gpas::hostcuda
