#include "kernels/cuda/matmul.hpp"

#include "kernels/cuda/check.hpp"
#include "kernels/cuda/gpu.hpp"
#include "kernels/cuda/matmul_plans.hpp"
#include "kernels/error.hpp"

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <array>
#include <compare>
#include <map>
#include <utility>

namespace gpas::cuda {
namespace {

// As NVIDIA advises for Hopper; a split-k algorithm keeps its partial sums there.
constexpr std::int64_t workspace_bytes = 32 << 20;

void check_blas(cublasStatus_t status, const char* call) {
    if (status != CUBLAS_STATUS_SUCCESS)
        fail(ExitCode::environment, "cuBLASLt: {}: {}", call, cublasLtGetStatusString(status));
}

cudaDataType_t type_of(Dtype dtype) { return dtype == Dtype::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

// Owners of cuBLASLt's descriptors.
template <class T, cublasStatus_t (*Destroy)(T)>
class Owned {
public:
    Owned() = default;
    ~Owned() {
        if (handle_ != nullptr) Destroy(handle_);
    }
    Owned(Owned&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Owned& operator=(Owned&&) = delete;
    T* out() { return &handle_; }
    operator T() const { return handle_; }  // NOLINT: to be passed like the handle

private:
    T handle_ = nullptr;
};
using Handle = Owned<cublasLtHandle_t, cublasLtDestroy>;
using Operation = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

// A row-major matrix of ours is cuBLASLt's transposed one, column-major: rows and columns change places.
struct Operand {
    const void* data;
    Dtype dtype;
    std::int64_t rows, columns;  // as cuBLASLt sees it: columns of ours, rows of ours
    bool transposed;
};

Operand operand(const Tensor& x, bool transposed) { return {x.data, x.dtype, x.columns(), x.rows(), transposed}; }

// The largest power of two up to 256 that divides an address: what an algorithm may assume of it.
std::uint32_t alignment(const void* pointer) {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    std::uint32_t bytes = 256;
    while (address % bytes != 0) bytes /= 2;
    return bytes;
}

struct Key {
    std::array<std::int64_t, 4> sizes;
    std::array<int, 5> kinds;
    std::array<std::uint32_t, 3> alignments;
    auto operator<=>(const Key&) const = default;
};

struct Plan {
    Operation operation;
    Layout a, b, d;
    cublasLtMatmulAlgo_t algorithm{};
};

void set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t name, int value) {
    check_blas(cublasLtMatmulDescSetAttribute(operation, name, &value, sizeof value), "cublasLtMatmulDescSetAttribute");
}

void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t name, const auto& value) {
    check_blas(cublasLtMatmulPreferenceSetAttribute(preference, name, &value, sizeof value),
               "cublasLtMatmulPreferenceSetAttribute");
}

void describe(Layout& layout, const Operand& x) {
    check_blas(cublasLtMatrixLayoutCreate(layout.out(), type_of(x.dtype), std::uint64_t(x.rows),
                                          std::uint64_t(x.columns), x.rows),
               "cublasLtMatrixLayoutCreate");
}

}  // namespace

struct MatmulPlans::Impl {
    Impl() {
        check_blas(cublasLtCreate(handle.out()), "cublasLtCreate");
        workspace = allocate(workspace_bytes);
    }
    ~Impl() { release(workspace); }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    Handle handle;
    void* workspace = nullptr;
    std::map<Key, Plan> plans;

    Plan make(const Key& key, const Operand& a, const Operand& b, const Operand& d);
    Plan& find(const Operand& a, const Operand& b, const Operand& d, bool accumulate);
};

MatmulPlans::MatmulPlans() : impl_(std::make_unique<Impl>()) {}
MatmulPlans::~MatmulPlans() = default;

// The first of cuBLASLt's proposals: the same on every run with one library and one GPU, so that runs repeat to the
// bit.
Plan MatmulPlans::Impl::make(const Key& key, const Operand& a, const Operand& b, const Operand& d) {
    Plan plan;
    // fp32 stays fp32: TF32 would not agree with the CPU.
    check_blas(cublasLtMatmulDescCreate(plan.operation.out(), CUBLAS_COMPUTE_32F, CUDA_R_32F),
               "cublasLtMatmulDescCreate");
    set(plan.operation, CUBLASLT_MATMUL_DESC_TRANSA, a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(plan.operation, CUBLASLT_MATMUL_DESC_TRANSB, b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    describe(plan.a, a);
    describe(plan.b, b);
    describe(plan.d, d);
    Preference preference;
    check_blas(cublasLtMatmulPreferenceCreate(preference.out()), "cublasLtMatmulPreferenceCreate");
    set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t(workspace_bytes));
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.alignments[0]);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.alignments[1]);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.alignments[2]);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.alignments[2]);
    cublasLtMatmulHeuristicResult_t proposal{};
    int found = 0;
    check_blas(cublasLtMatmulAlgoGetHeuristic(handle, plan.operation, plan.a, plan.b, plan.d, plan.d, preference, 1,
                                              &proposal, &found),
               "cublasLtMatmulAlgoGetHeuristic");
    if (found == 0)
        fail(ExitCode::environment, "cuBLASLt has no algorithm for a product of {} x {} x {} ({})", d.rows, d.columns,
             a.transposed ? a.rows : a.columns, dtype_name(a.dtype));
    plan.algorithm = proposal.algo;
    return plan;
}

Plan& MatmulPlans::Impl::find(const Operand& a, const Operand& b, const Operand& d, bool accumulate) {
    const Key key{.sizes = {a.rows, a.columns, b.rows, b.columns},
                  .kinds = {int(a.dtype), int(d.dtype), a.transposed, b.transposed, accumulate},
                  .alignments = {alignment(a.data), alignment(b.data), alignment(d.data)}};
    const auto found = plans.find(key);
    return found != plans.end() ? found->second : plans.emplace(key, make(key, a, b, d)).first->second;
}

namespace {

// d (=, or += where accumulate) a b
void product(Context& context, const Tensor& out, const Operand& a, const Operand& b, bool accumulate) {
    if (out.elements() == 0) return;
    MatmulPlans::Impl& plans = context.gpu().matmul_plans().impl();
    const Plan& plan = plans.find(a, b, operand(out, false), accumulate);
    const float one = 1.0F;
    const float beta = accumulate ? 1.0F : 0.0F;
    check_blas(cublasLtMatmul(plans.handle, plan.operation, &one, a.data, plan.a, b.data, plan.b, &beta, out.data,
                              plan.d, out.data, plan.d, &plan.algorithm, plans.workspace, std::size_t(workspace_bytes),
                              static_cast<cudaStream_t>(context.gpu().stream())),
               "cublasLtMatmul");
}

}  // namespace

// Row-major y = x wᵀ is column-major yᵀ = w xᵀ, and so on: the operands change places.
void matmul(Context& context, Tensor y, Tensor x, Tensor w) {
    product(context, y, operand(w, true), operand(x, false), false);
}

void matmul_dx(Context& context, Tensor dx, Tensor dy, Tensor w) {
    product(context, dx, operand(w, false), operand(dy, false), false);
}

void matmul_dw(Context& context, Tensor dw, Tensor dy, Tensor x) {
    product(context, dw, operand(x, false), operand(dy, true), true);
}

}  // namespace gpas::cuda
