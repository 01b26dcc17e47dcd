// A "GPU" in the memory of the host, where everything is done when its call returns.
#include "kernels/cuda/gpu.hpp"

#include "kernels/error.hpp"
#include "tests/hostcuda/run.hpp"

#include <cstdlib>
#include <cstring>

namespace gpas::cuda {

bool built() { return true; }
int device_count(std::string*) { return 1; }
void choose_device(int) {}
std::string device_name() { return "host (kernels run as fibres)"; }
std::int64_t device_memory_bytes() { return std::int64_t(4) << 30; }

std::array<std::int64_t, 2> device_identity() { return {1, 1}; }  // one for all ranks

void* allocate(std::int64_t bytes) {
    constexpr std::int64_t alignment_bytes = 256;
    void* memory = std::aligned_alloc(std::size_t(alignment_bytes),
                                      std::size_t((bytes + alignment_bytes - 1) / alignment_bytes * alignment_bytes));
    require(memory != nullptr, "no memory for {} bytes", bytes);
    std::memset(memory, 0, std::size_t(bytes));
    return memory;
}
void release(void* memory) noexcept { std::free(memory); }
void* allocate_pinned(std::int64_t bytes) { return allocate(bytes); }
void release_pinned(void* memory) noexcept { std::free(memory); }

struct Gpu::Impl {};
Gpu::Gpu() = default;
Gpu::~Gpu() = default;
void* Gpu::stream() const { return nullptr; }
int Gpu::multiprocessors() const { return 4; }
void Gpu::synchronize() {}
void Gpu::add_watcher(const void*, std::function<void(double)>) {}
void Gpu::remove_watcher(const void*) {}
void Gpu::copy_to_host(void* to, const void* from, std::int64_t bytes) { std::memcpy(to, from, std::size_t(bytes)); }
void Gpu::copy_to_device(void* to, const void* from, std::int64_t bytes) { std::memcpy(to, from, std::size_t(bytes)); }
void Gpu::copy_to_pinned(void* to, const void* from, std::int64_t bytes) { std::memcpy(to, from, std::size_t(bytes)); }
void Gpu::copy_from_pinned(void* to, const void* from, std::int64_t bytes) {
    std::memcpy(to, from, std::size_t(bytes));
}
void Gpu::copy_on_device(void* to, const void* from, std::int64_t bytes) { std::memmove(to, from, std::size_t(bytes)); }
void Gpu::set_bytes(void* to, int value, std::int64_t bytes) {
    if (!hostcuda::zeroing_is_dropped()) std::memset(to, value, std::size_t(bytes));
}

}  // namespace gpas::cuda
