// Kernels are compiled with -fsanitize=thread, but not linked with its library. The functions that they call at each
// memory access are defined here, and report the access to the happens-before checker.
#include "tests/virtual_gpu/device.hpp"

using gpas::virtual_gpu::Access;
using gpas::virtual_gpu::touch;

#define GPAS_ACCESS(bytes)                                                                    \
    void __tsan_read##bytes(void* address) { touch(address, bytes, Access::read); }           \
    void __tsan_write##bytes(void* address) { touch(address, bytes, Access::write); }         \
    void __tsan_unaligned_read##bytes(void* address) { touch(address, bytes, Access::read); } \
    void __tsan_unaligned_write##bytes(void* address) { touch(address, bytes, Access::write); }

extern "C" {
GPAS_ACCESS(1)
GPAS_ACCESS(2)
GPAS_ACCESS(4)
GPAS_ACCESS(8)
GPAS_ACCESS(16)
void __tsan_read_range(void* address, unsigned long bytes) { touch(address, bytes, Access::read); }
void __tsan_write_range(void* address, unsigned long bytes) { touch(address, bytes, Access::write); }
void __tsan_vptr_update(void**, void*) {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}
}

namespace gpas::hostcuda {

void touch_device(const void* begin, std::size_t bytes, bool writes) {
    touch(begin, bytes, writes ? Access::write : Access::read);
}

}  // namespace gpas::hostcuda
