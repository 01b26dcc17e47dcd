// The device that the tests of kernels run on: the CPU, the emulated GPU (tests/hostcuda), or a real one. The same
// tests, built with -DGPAS_TEST_DEVICE=cuda for the last two.
#pragma once

#include "kernels/arena.hpp"

#include <cstddef>

namespace gpas::test_support {

#ifndef GPAS_TEST_DEVICE
#define GPAS_TEST_DEVICE cpu
#endif
inline constexpr Device test_device = Device::GPAS_TEST_DEVICE;

// Memory that both the test and the device read and write (test_memory.cpp; managed_memory.cpp for real GPUs, whose
// kernels must then be waited for: CUDA_LAUNCH_BLOCKING=1).
void* allocate_shared(std::size_t bytes);
void release_shared(void* memory) noexcept;
// Of memory of the device.
void set_device_bytes(void* memory, int value, std::size_t bytes);

template <class T>
struct SharedAllocator {
    using value_type = T;
    SharedAllocator() = default;
    template <class U>
    SharedAllocator(const SharedAllocator<U>&) {}  // NOLINT: as the standard asks
    T* allocate(std::size_t count) { return static_cast<T*>(allocate_shared(count * sizeof(T))); }
    void deallocate(T* memory, std::size_t) noexcept { release_shared(memory); }
    bool operator==(const SharedAllocator&) const = default;
};

// Of the host, for tests that nothing depends on their number; on a GPU it is a second run that counts.
inline constexpr int most_threads = test_device == Device::cpu ? 4 : 2;

inline Arena device_arena(std::int64_t capacity_bytes) { return Arena(capacity_bytes, test_device); }

}  // namespace gpas::test_support
