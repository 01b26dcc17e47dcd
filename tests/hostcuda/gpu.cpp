// A "GPU" in the memory of the host. All work of a call is complete when the call returns.
#include "kernels/cuda/gpu.hpp"

#include "kernels/cuda/matmul_plans.hpp"
#include "tests/hostcuda/device_memory.hpp"
#include "tests/hostcuda/run.hpp"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <utility>

// Kernels are compiled to report each memory access (tests/virtual_gpu/instrument.cpp); here the reports are ignored.
#define GPAS_NO_ACCESS(bytes)                   \
    void __tsan_read##bytes(void*) {}           \
    void __tsan_write##bytes(void*) {}          \
    void __tsan_unaligned_read##bytes(void*) {} \
    void __tsan_unaligned_write##bytes(void*) {}
extern "C" {
GPAS_NO_ACCESS(1)
GPAS_NO_ACCESS(2)
GPAS_NO_ACCESS(4)
GPAS_NO_ACCESS(8)
GPAS_NO_ACCESS(16)
void __tsan_read_range(void*, unsigned long) {}
void __tsan_write_range(void*, unsigned long) {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}
}

namespace gpas::hostcuda {

void enqueue(void*, const void*, std::function<void()> body) { body(); }
void touch_device(const void*, std::size_t, bool) {}

}  // namespace gpas::hostcuda

namespace gpas::cuda {

bool built() { return true; }
void prepare_environment() {}
std::string environment_warning(int) { return {}; }
int device_count(std::string*) { return 1; }
void choose_device(int) {}
std::string device_name() { return "host (kernels run as fibres)"; }
std::int64_t device_memory_bytes() { return std::int64_t(4) << 30; }

std::int64_t free_memory_bytes() { return device_memory_bytes(); }

std::string pci_bus_id(int index) { return "0000:0" + std::to_string(index) + ":00.0"; }
int chosen_device() { return 0; }

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

struct Gpu::Impl {
    MatmulPlans matmul_plans;
    std::int64_t waits = 0;
    std::int64_t marks = 0, marks_reached = 0;  // numbered in the order in which they were set
    std::map<const void*, std::function<void(double)>> watchers;
};
Gpu::Gpu() : impl_(std::make_unique<Impl>()) {}
Gpu::~Gpu() = default;
void* Gpu::stream() const { return nullptr; }
int Gpu::multiprocessors() const { return 4; }
MatmulPlans& Gpu::matmul_plans() { return impl_->matmul_plans; }
std::int64_t Gpu::waits() const { return impl_->waits; }
void Gpu::synchronize() {
    wait_until([] { return true; });
    impl_->marks_reached = impl_->marks;
}
void Gpu::wait_until(const std::function<bool()>&) {
    ++impl_->waits;
    for (const auto& [owner, watcher] : impl_->watchers) watcher(0.0);
}
void Gpu::add_watcher(const void* owner, std::function<void(double)> watcher) {
    impl_->watchers[owner] = std::move(watcher);
}
void Gpu::remove_watcher(const void* owner) { impl_->watchers.erase(owner); }
// A GPU may be waited for in these two; so here they count as waits.
void Gpu::copy_to_host(void* to, const void* from, std::int64_t bytes) {
    ++impl_->waits;
    impl_->marks_reached = impl_->marks;
    copy_bytes(to, from, bytes);
}
void Gpu::copy_to_device(void* to, const void* from, std::int64_t bytes) {
    ++impl_->waits;
    copy_bytes(to, from, bytes);
}
void Gpu::copy_to_pinned(void* to, const void* from, std::int64_t bytes) { copy_bytes(to, from, bytes); }
void Gpu::copy_from_pinned(void* to, const void* from, std::int64_t bytes) { copy_bytes(to, from, bytes); }
void Gpu::copy_on_device(void* to, const void* from, std::int64_t bytes) { copy_bytes(to, from, bytes); }
void Gpu::set_bytes(void* to, int value, std::int64_t bytes) {
    const hostcuda::DeviceAccess access;
    if (value != 0 || !hostcuda::zeroing_is_dropped()) std::memset(to, value, std::size_t(bytes));
}

// A mark counts as not reached until the host has waited for it or for something later.
struct Mark::Impl {
    std::shared_ptr<Gpu> gpu;
    std::chrono::steady_clock::time_point time;
    std::int64_t number = 0;
};
Mark::Mark(std::shared_ptr<Gpu> gpu) : impl_(std::make_unique<Impl>(std::move(gpu))) {}
Mark::~Mark() = default;
void Mark::set() {
    impl_->time = std::chrono::steady_clock::now();
    impl_->number = ++impl_->gpu->impl_->marks;
}
bool Mark::reached() const { return impl_->number <= impl_->gpu->impl_->marks_reached; }
void Mark::wait() {
    if (reached()) return;
    impl_->gpu->wait_until([] { return true; });
    impl_->gpu->impl_->marks_reached = impl_->number;
}
double Mark::seconds_between(const Mark& from, const Mark& to) {
    return std::chrono::duration<double>(to.impl_->time - from.impl_->time).count();
}

}  // namespace gpas::cuda
