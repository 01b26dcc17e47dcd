// Matrix products by cuBLASLt.
#include "kernels/cuda/matmul.hpp"

#include "base/error.hpp"
#include "kernels/backend.hpp"
#include "kernels/cuda/gpu.hpp"
#include "kernels/cuda/matmul_impl.hpp"

namespace gpas::cuda {

MatmulPlans::Impl::Impl() {
    check_blas(blas, blas.cublasLtCreate(handle.out()), "cublasLtCreate");
    workspace = allocate(matmul_workspace_bytes);
}
MatmulPlans::Impl::~Impl() { release(workspace); }

// Runs on the host only: a product that occurs for the first time during a step neither allocates device memory nor
// waits for the GPU.
const CublasLtProduct& MatmulPlans::Impl::find(const MatmulKey& key) {
    const auto found = products.find(key);
    if (found != products.end()) return found->second;
    CublasLtProduct product(blas, key);
    const auto chosen = choices.find(key);
    product.algorithm =
        chosen != choices.end() ? algorithm_of(chosen->second) : proposals(blas, handle, key, product, 1).front();
    return products.emplace(key, std::move(product)).first->second;
}

MatmulPlans::MatmulPlans() : impl_(std::make_unique<Impl>()) {}
MatmulPlans::~MatmulPlans() = default;

std::string matmul_machine(Context& context) {
    return fmt::format("{}, cuBLASLt {}", device_name(), context.gpu().matmul_plans().impl().blas.cublasLtGetVersion());
}

void take_matmul_choices(Context& context, MatmulChoices choices) {
    MatmulPlans::Impl& plans = context.gpu().matmul_plans().impl();
    plans.products.clear();
    plans.choices = std::move(choices);
}

namespace {

void multiply(Context& context, const MatmulKey& key, const Tensor& d, const Tensor& a, const Tensor& b) {
    if (d.elements() == 0) return;
    MatmulPlans::Impl& plans = context.gpu().matmul_plans().impl();
    const CublasLtProduct& product = plans.find(key);
    check_blas(plans.blas,
               enqueue(plans.blas, plans.handle, product, product.algorithm, a.data, b.data, d.data, plans.workspace,
                       static_cast<cudaStream_t>(context.gpu().stream())),
               "cublasLtMatmul");
}

}  // namespace

// Row-major operands are passed in swapped order to column-major cuBLASLt; see matmul_key.cpp.
void matmul(Context& context, Tensor y, Tensor x, Tensor w) { multiply(context, key_of_matmul(y, x, w), y, w, x); }

void matmul_dx(Context& context, Tensor dx, Tensor dy, Tensor w) {
    multiply(context, key_of_matmul_dx(dx, dy, w), dx, w, dy);
}

void matmul_dw(Context& context, Tensor dw, Tensor dy, Tensor x) {
    multiply(context, key_of_matmul_dw(dw, dy, x), dw, x, dy);
}

}  // namespace gpas::cuda
