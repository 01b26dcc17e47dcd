// Computes a few numbers per step with one thread; bound by the latency of a launch. The GPU computes these numbers,
// because otherwise the host would have to wait for the sums that they depend on.
#include "kernels/backend.hpp"

#include "kernels/cuda/launch_rows.hpp"
#include "kernels/update_decision.hpp"

namespace gpas::cuda {
namespace {

GPAS_KERNEL GPAS_MOST_THREADS(warp_size)
    step_sums_kernel(double* sums, double* own, const double* loss, const double* squares, StepTerms terms) {
    if (threadIdx.x == 0) write_step_sums(sums, own, loss, squares, terms);
}

GPAS_KERNEL GPAS_MOST_THREADS(warp_size)
    decide_update_kernel(UpdateDecision* decision, const double* sums, UpdateRule rule) {
    if (threadIdx.x == 0) *decision = decision_of(sums, rule);
}

}  // namespace

void step_sums(Context& context, Tensor sums, Tensor own, Tensor loss, Tensor squares, const StepTerms& terms) {
    launch(context.gpu(), {.grid = 1, .threads = warp_size}, step_sums_kernel, sums.as<double>(), own.as<double>(),
           loss.as<const double>(), squares.as<const double>(), terms);
}

void decide_update(Context& context, Tensor decision, Tensor sums, const UpdateRule& rule) {
    launch(context.gpu(), {.grid = 1, .threads = warp_size}, decide_update_kernel,
           reinterpret_cast<UpdateDecision*>(decision.as<double>()), sums.as<const double>(), rule);
}

}  // namespace gpas::cuda
