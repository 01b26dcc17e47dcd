// A "GPU" in the memory of the host, where everything is done when its call returns.
#include "kernels/cuda/gpu.hpp"

#include "tests/hostcuda/device_memory.hpp"
#include "tests/hostcuda/run.hpp"

#include <cstring>
#include <new>

namespace gpas::cuda {

bool built() { return true; }
int device_count(std::string*) { return 1; }
void choose_device(int) {}
std::string device_name() { return "host (kernels run as fibres)"; }
std::int64_t device_memory_bytes() { return std::int64_t(4) << 30; }

std::array<std::int64_t, 2> device_identity() { return {1, 1}; }  // one for all ranks

void* allocate(std::int64_t bytes) { return hostcuda::allocate_device(bytes); }
void release(void* memory) noexcept { hostcuda::release_device(memory); }
void* allocate_pinned(std::int64_t bytes) { return ::operator new(std::size_t(bytes)); }
void release_pinned(void* memory) noexcept { ::operator delete(memory); }

namespace {

void copy_bytes(void* to, const void* from, std::int64_t bytes) {
    const hostcuda::DeviceAccess access;
    std::memmove(to, from, std::size_t(bytes));
}

}  // namespace

struct Gpu::Impl {};
Gpu::Gpu() = default;
Gpu::~Gpu() = default;
void* Gpu::stream() const { return nullptr; }
int Gpu::multiprocessors() const { return 4; }
void Gpu::synchronize() {}
void Gpu::add_watcher(const void*, std::function<void(double)>) {}
void Gpu::remove_watcher(const void*) {}
void Gpu::copy_to_host(void* to, const void* from, std::int64_t bytes) { copy_bytes(to, from, bytes); }
void Gpu::copy_to_device(void* to, const void* from, std::int64_t bytes) { copy_bytes(to, from, bytes); }
void Gpu::copy_to_pinned(void* to, const void* from, std::int64_t bytes) { copy_bytes(to, from, bytes); }
void Gpu::copy_from_pinned(void* to, const void* from, std::int64_t bytes) { copy_bytes(to, from, bytes); }
void Gpu::copy_on_device(void* to, const void* from, std::int64_t bytes) { copy_bytes(to, from, bytes); }
void Gpu::set_bytes(void* to, int value, std::int64_t bytes) {
    const hostcuda::DeviceAccess access;
    if (value != 0 || !hostcuda::zeroing_is_dropped()) std::memset(to, value, std::size_t(bytes));
}

}  // namespace gpas::cuda
