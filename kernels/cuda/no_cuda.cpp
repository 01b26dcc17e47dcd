// Replaces the CUDA backend in a build without CUDA: a function that needs a GPU throws Error(environment). No Context
// can be on a GPU in such a build, so of these functions only the choice of a device is ever called.
#include "kernels/cuda/no_cuda.hpp"
#include "base/error.hpp"
#include "kernels/cuda/gpu.hpp"
#include "kernels/cuda/matmul.hpp"
#include "kernels/cuda/profiling.hpp"

namespace gpas::cuda {
namespace {

[[noreturn]] void refuse() { fail(ExitCode::environment, no_cuda_reason); }

}  // namespace

bool built() { return false; }
void prepare_environment() {}
std::string environment_warning(int) { return {}; }
int device_count(std::string* why_none) {
    if (why_none != nullptr) *why_none = no_cuda_reason;
    return 0;
}
void choose_device(int) { refuse(); }
std::string device_name() { refuse(); }
std::int64_t device_memory_bytes() { refuse(); }
std::int64_t free_memory_bytes() { refuse(); }
std::string pci_bus_id(int) { refuse(); }
int chosen_device() { refuse(); }
void* allocate(std::int64_t) { refuse(); }
void release(void*) noexcept {}
void* allocate_pinned(std::int64_t) { refuse(); }
void release_pinned(void*) noexcept {}

struct Gpu::Impl {};
Gpu::Gpu() { refuse(); }
Gpu::~Gpu() = default;
void* Gpu::stream() const { refuse(); }
int Gpu::multiprocessors() const { refuse(); }
MatmulPlans& Gpu::matmul_plans() { refuse(); }
void Gpu::synchronize() { refuse(); }
void Gpu::wait_until(const std::function<bool()>&) { refuse(); }
std::int64_t Gpu::waits() const { refuse(); }
void Gpu::add_watcher(const void*, std::function<void(double)>) { refuse(); }
void Gpu::remove_watcher(const void*) { refuse(); }
void Gpu::copy_to_host(void*, const void*, std::int64_t) { refuse(); }
void Gpu::copy_to_device(void*, const void*, std::int64_t) { refuse(); }
void Gpu::copy_to_pinned(void*, const void*, std::int64_t) { refuse(); }
void Gpu::copy_from_pinned(void*, const void*, std::int64_t) { refuse(); }
void Gpu::copy_on_device(void*, const void*, std::int64_t) { refuse(); }
void Gpu::set_bytes(void*, int, std::int64_t) { refuse(); }

struct Mark::Impl {};
Mark::Mark(std::shared_ptr<Gpu>) { refuse(); }
Mark::~Mark() = default;
void Mark::set() { refuse(); }
bool Mark::reached() const { refuse(); }
void Mark::wait() { refuse(); }
double Mark::seconds_between(const Mark&, const Mark&) { refuse(); }

void Range::begin(const char*) { refuse(); }
void Range::end() {}
void start_profiler() { refuse(); }
void stop_profiler() { refuse(); }

std::string matmul_machine(Context&) { refuse(); }
std::vector<MatmulChoice> fastest_matmuls(Context&, std::span<const MatmulKey>) { refuse(); }
void take_matmul_choices(Context&, MatmulChoices) { refuse(); }

}  // namespace gpas::cuda
