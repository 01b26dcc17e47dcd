// A "GPU" in the memory of the host, where everything is done when its call returns.
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

namespace gpas::cuda {

namespace {

int chosen = 0;

// GPAS_HOSTCUDA_DEVICES: how many GPUs this machine pretends to have.
int pretended_devices() {
    const char* text = std::getenv("GPAS_HOSTCUDA_DEVICES");
    return text != nullptr ? std::atoi(text) : 1;
}

}  // namespace

bool built() { return true; }
int device_count(std::string*) { return pretended_devices(); }
void choose_device(int index) { chosen = index; }
std::string device_name() { return "host (kernels run as fibres)"; }
std::int64_t device_memory_bytes() { return std::int64_t(4) << 30; }

// GPAS_HOSTCUDA_FREE_MIB: as if other processes held the rest.
std::int64_t free_memory_bytes() {
    const char* text = std::getenv("GPAS_HOSTCUDA_FREE_MIB");
    return text != nullptr ? std::int64_t(std::atoi(text)) << 20 : device_memory_bytes();
}

std::array<std::int64_t, 2> device_identity() { return {1, chosen}; }

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
