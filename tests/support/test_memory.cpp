#include "kernels/cuda/gpu.hpp"
#include "tests/support/exhaustive.hpp"
#include "tests/support/test_device.hpp"

#include <cstring>
#include <new>

namespace gpas::test_support {

void* allocate_shared(std::size_t bytes) { return ::operator new(bytes); }
void release_shared(void* memory) noexcept { ::operator delete(memory); }
#ifdef __SANITIZE_ADDRESS__
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif
bool kernels_are_slow() { return (sanitized || test_device == Device::cuda) && !exhaustive(); }

void set_device_bytes(void* memory, int value, std::size_t bytes) {
    if (test_device == Device::cuda)
        cuda::Gpu().set_bytes(memory, value, std::int64_t(bytes));
    else
        std::memset(memory, value, bytes);
}

}  // namespace gpas::test_support
