// The device for tests of kernels: the CPU, the emulated GPU (tests/hostcuda) or a real GPU. The tests are the same.
#pragma once

#include "kernels/arena.hpp"

#include <cstddef>

namespace gpas::test_support {

// A program links one of the two definitions: device_cpu.cpp or device_cuda.cpp.
extern const Device test_device;

// Memory that both the test and the device read and write. Defined in test_memory.cpp, and for real GPUs in
// managed_memory.cpp. On a real GPU, set CUDA_LAUNCH_BLOCKING=1, so that the test reads only after a kernel has ended.
void* allocate_shared(std::size_t bytes);
void release_shared(void* memory) noexcept;
// Kernels take some ten times as long as in a release build on the CPU: on the emulated GPU and under sanitizers. Tests then combine
// fewer cases, unless scripts/test --exhaustive asks for all.
bool kernels_are_slow();
// memset of device memory.
void set_device_bytes(void* memory, int value, std::size_t bytes);

template <class T>
struct SharedAllocator {
    using value_type = T;
    SharedAllocator() = default;
    template <class U>
    SharedAllocator(const SharedAllocator<U>&) {}  // NOLINT: implicit, as the standard requires
    T* allocate(std::size_t count) { return static_cast<T*>(allocate_shared(count * sizeof(T))); }
    void deallocate(T* memory, std::size_t) noexcept { release_shared(memory); }
    bool operator==(const SharedAllocator&) const = default;
};

// Largest number of host threads in tests that results do not depend on the number of threads. On a GPU, only the
// second run matters.
inline int most_threads() { return test_device == Device::cpu ? 4 : 2; }

inline Arena device_arena(std::int64_t capacity_bytes) { return Arena(capacity_bytes, test_device); }

}  // namespace gpas::test_support
