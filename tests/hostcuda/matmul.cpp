// Products on the emulated GPU are the CPU's: cuBLASLt cannot run here. After
// take_matmul_choices(), a product without a choice ends the run, because a run times all products before its first step.
#include "kernels/cuda/matmul.hpp"

#include "base/error.hpp"
#include "kernels/backend.hpp"
#include "kernels/cuda/gpu.hpp"
#include "kernels/cuda/matmul_plans.hpp"
#include "tests/hostcuda/device_memory.hpp"

#include <optional>

namespace gpas::cuda {

struct MatmulPlans::Impl {
    std::optional<MatmulChoices> choices;
};
MatmulPlans::MatmulPlans() : impl_(std::make_unique<Impl>()) {}
MatmulPlans::~MatmulPlans() = default;

namespace {

void require_choice(Context& context, const MatmulKey& key) {
    const std::optional<MatmulChoices>& choices = context.gpu().matmul_plans().impl().choices;
    require(!choices || key.rows() * key.columns() == 0 || choices->contains(key),
            "a product of {} x {} x {} ({} to {}, alignments {} {} {}) was not timed before the first step",
            key.columns(), key.rows(), key.depth(), dtype_name(key.operand_dtype()), dtype_name(key.result_dtype()),
            key.alignments[0], key.alignments[1], key.alignments[2]);
}

}  // namespace

void matmul(Context& context, Tensor y, Tensor x, Tensor w) {
    require_choice(context, key_of_matmul(y, x, w));
    const hostcuda::DeviceAccess access;
    cpu::matmul(context, y, x, w);
}
void matmul_dx(Context& context, Tensor dx, Tensor dy, Tensor w) {
    require_choice(context, key_of_matmul_dx(dx, dy, w));
    const hostcuda::DeviceAccess access;
    cpu::matmul_dx(context, dx, dy, w);
}
void matmul_dw(Context& context, Tensor dw, Tensor dy, Tensor x) {
    require_choice(context, key_of_matmul_dw(dw, dy, x));
    const hostcuda::DeviceAccess access;
    cpu::matmul_dw(context, dw, dy, x);
}

std::string matmul_machine(Context&) { return "the host, no cuBLASLt"; }

std::vector<MatmulChoice> fastest_matmuls(Context&, std::span<const MatmulKey> products) {
    return std::vector<MatmulChoice>(products.size());
}

void take_matmul_choices(Context& context, MatmulChoices choices) {
    context.gpu().matmul_plans().impl().choices = std::move(choices);
}

}  // namespace gpas::cuda
