// Replaces the CUDA backend in a build without CUDA: a function that needs a GPU throws Error(environment). No Context
// can be on a GPU in such a build, so of these functions only the choice of a device is ever called.
#include "base/error.hpp"
#include "kernels/cuda/attention.hpp"
#include "kernels/cuda/feed_forward.hpp"
#include "kernels/cuda/flat.hpp"
#include "kernels/cuda/gpu.hpp"
#include "kernels/cuda/loss.hpp"
#include "kernels/cuda/matmul.hpp"
#include "kernels/cuda/profiling.hpp"
#include "kernels/cuda/residual.hpp"
#include "kernels/cuda/rope.hpp"
#include "kernels/cuda/update.hpp"

namespace gpas::cuda {
namespace {

constexpr const char* reason = "this gpas was built without CUDA (no nvcc was found; see docs/cuda.md)";

[[noreturn]] void refuse() { fail(ExitCode::environment, "{}", reason); }

}  // namespace

bool built() { return false; }
void prepare_environment() {}
std::string environment_warning(int) { return {}; }
int device_count(std::string* why_none) {
    if (why_none != nullptr) *why_none = reason;
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

void rmsnorm(Context&, Tensor, Tensor, ResidualStream, Norm, bool) { refuse(); }
void residual(Context&, Tensor, Tensor, Tensor, Residual, ResidualStream, Tensor, Gate, Norm) { refuse(); }
void rmsnorm_backward(Context&, Tensor, Tensor, GateGradients, Tensor, Residual, ResidualStream, Tensor, Norm) {
    refuse();
}
void residual_backward(Context&, Tensor, GateGradients, Tensor, Residual, ResidualStream) { refuse(); }
void apply_gate(Context&, Tensor, ResidualStream) { refuse(); }
Moments moments(Context&, ResidualStream) { refuse(); }
std::int64_t widest_row(Dtype, std::int64_t) { refuse(); }

void attention(Context&, Tensor, Tensor, Tensor, AttentionShape, Tensor) { refuse(); }
void attention_backward(Context&, Tensor, Tensor, Tensor, Tensor, Tensor, AttentionShape, Tensor) { refuse(); }
std::string attention_refusal(AttentionShape) { refuse(); }
void rope(Context&, Tensor, AttentionShape, Tensor, Tensor, bool) { refuse(); }

void embedding(Context&, Tensor, Tensor, Tensor, std::int64_t) { refuse(); }
void embedding_backward(Context&, Tensor, Tensor, Tensor, std::int64_t) { refuse(); }
void swiglu(Context&, Tensor, Tensor) { refuse(); }
void swiglu_backward(Context&, Tensor, Tensor, Tensor) { refuse(); }

void cross_entropy_stats(Context&, Tensor, Tensor, Tensor, std::int64_t) { refuse(); }
void cross_entropy_combine(Context&, Tensor, Tensor) { refuse(); }
void cross_entropy_loss(Context&, Tensor, Tensor, Tensor) { refuse(); }
void cross_entropy_backward(Context&, Tensor, Tensor, Tensor, Tensor, std::int64_t, float) { refuse(); }

void step_sums(Context&, Tensor, Tensor, Tensor, Tensor, const StepTerms&) { refuse(); }
void decide_update(Context&, Tensor, Tensor, const UpdateRule&) { refuse(); }

void adamw(Context&, std::span<const AdamwPiece>, const AdamwStep&) { refuse(); }
void squared_norm(Context&, Tensor, std::span<const Tensor>) { refuse(); }
std::int64_t first_non_finite(Context&, Tensor) { refuse(); }
std::uint64_t fingerprint(Context&, Tensor) { refuse(); }
void cast(Context&, Tensor, Tensor) { refuse(); }
void fill(Context&, Tensor, float) { refuse(); }
void scale(Context&, Tensor, float) { refuse(); }

void matmul(Context&, Tensor, Tensor, Tensor) { refuse(); }
void matmul_dx(Context&, Tensor, Tensor, Tensor) { refuse(); }
void matmul_dw(Context&, Tensor, Tensor, Tensor) { refuse(); }
std::string matmul_machine(Context&) { refuse(); }
std::vector<MatmulChoice> fastest_matmuls(Context&, std::span<const MatmulKey>) { refuse(); }
void take_matmul_choices(Context&, MatmulChoices) { refuse(); }

}  // namespace gpas::cuda
