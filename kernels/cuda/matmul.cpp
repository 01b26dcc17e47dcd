#include "kernels/cuda/matmul.hpp"

#include "kernels/cuda/check.hpp"
#include "kernels/cuda/cublaslt.hpp"
#include "kernels/cuda/gpu.hpp"
#include "kernels/cuda/matmul_choices.hpp"
#include "kernels/cuda/matmul_plans.hpp"
#include "kernels/error.hpp"

#include <cuda_runtime_api.h>

#include <cstring>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace gpas::cuda {
namespace {

// As NVIDIA advises for Hopper; a split-k algorithm keeps its partial sums there.
constexpr std::int64_t workspace_bytes = 32 << 20;

void check_blas(const CublasLt& blas, cublasStatus_t status, const char* call) {
    if (status != CUBLAS_STATUS_SUCCESS)
        fail(ExitCode::environment, "cuBLASLt: {}: {}", call, blas.cublasLtGetStatusString(status));
}

cudaDataType_t type_of(Dtype dtype) { return dtype == Dtype::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

// Owners of cuBLASLt's descriptors.
template <class T>
class Owned {
public:
    explicit Owned(cublasStatus_t (*destroy)(T)) : destroy_(destroy) {}
    ~Owned() {
        if (handle_ != nullptr) destroy_(handle_);
    }
    Owned(Owned&& other) noexcept : destroy_(other.destroy_), handle_(std::exchange(other.handle_, nullptr)) {}
    Owned& operator=(Owned&&) = delete;
    T* out() { return &handle_; }
    operator T() const { return handle_; }  // NOLINT: to be passed like the handle

private:
    cublasStatus_t (*destroy_)(T);
    T handle_ = nullptr;
};
using Handle = Owned<cublasLtHandle_t>;
using Operation = Owned<cublasLtMatmulDesc_t>;
using Layout = Owned<cublasLtMatrixLayout_t>;
using Preference = Owned<cublasLtMatmulPreference_t>;

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

struct Plan {
    explicit Plan(const CublasLt& blas)
        : operation(blas.cublasLtMatmulDescDestroy),
          a(blas.cublasLtMatrixLayoutDestroy),
          b(blas.cublasLtMatrixLayoutDestroy),
          d(blas.cublasLtMatrixLayoutDestroy) {}

    Operation operation;
    Layout a, b, d;
    cublasLtMatmulAlgo_t algorithm{};
};

static_assert(sizeof(cublasLtMatmulAlgo_t) == sizeof(MatmulChoice));
cublasLtMatmulAlgo_t algorithm_of(const MatmulChoice& choice) {
    cublasLtMatmulAlgo_t algorithm;
    std::memcpy(&algorithm, choice.data(), sizeof algorithm);
    return algorithm;
}
MatmulChoice choice_of(const cublasLtMatmulAlgo_t& algorithm) {
    MatmulChoice choice;
    std::memcpy(choice.data(), &algorithm, sizeof algorithm);
    return choice;
}

// Milliseconds between two points of a stream.
class Timer {
public:
    Timer() {
        check(cudaEventCreate(&begin_), "cudaEventCreate");
        check(cudaEventCreate(&end_), "cudaEventCreate");
    }
    ~Timer() {
        cudaEventDestroy(begin_);
        cudaEventDestroy(end_);
    }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    void start(cudaStream_t stream) { check(cudaEventRecord(begin_, stream), "cudaEventRecord"); }
    float stop(cudaStream_t stream) {
        check(cudaEventRecord(end_, stream), "cudaEventRecord");
        check(cudaEventSynchronize(end_), "cudaEventSynchronize");
        float milliseconds = 0.0F;
        check(cudaEventElapsedTime(&milliseconds, begin_, end_), "cudaEventElapsedTime");
        return milliseconds;
    }

private:
    cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

void set(const CublasLt& blas, cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t name, int value) {
    check_blas(blas, blas.cublasLtMatmulDescSetAttribute(operation, name, &value, sizeof value),
               "cublasLtMatmulDescSetAttribute");
}

void set(const CublasLt& blas, cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t name,
         const auto& value) {
    check_blas(blas, blas.cublasLtMatmulPreferenceSetAttribute(preference, name, &value, sizeof value),
               "cublasLtMatmulPreferenceSetAttribute");
}

void describe(const CublasLt& blas, Layout& layout, const Operand& x) {
    check_blas(blas,
               blas.cublasLtMatrixLayoutCreate(layout.out(), type_of(x.dtype), std::uint64_t(x.rows),
                                               std::uint64_t(x.columns), x.rows),
               "cublasLtMatrixLayoutCreate");
}

}  // namespace

struct MatmulPlans::Impl {
    Impl() {
        check_blas(blas, blas.cublasLtCreate(handle.out()), "cublasLtCreate");
        workspace = allocate(workspace_bytes);
    }
    ~Impl() { release(workspace); }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    CublasLt blas = load_cublaslt();
    Handle handle{blas.cublasLtDestroy};
    void* workspace = nullptr;
    std::map<MatmulKey, Plan> plans;
    std::optional<MatmulChoices> measured;  // absent: the first proposal is taken

    Plan describe_product(const Operand& a, const Operand& b, const Operand& d);
    std::vector<cublasLtMatmulHeuristicResult_t> proposals(const MatmulKey& key, const Plan& plan, int most);
    cublasLtMatmulAlgo_t choose(const MatmulKey& key, const Plan& plan, const Operand& a, const Operand& b,
                                const Operand& d, cudaStream_t stream);
    Plan& find(const Operand& a, const Operand& b, const Operand& d, bool accumulate, cudaStream_t stream);
};

MatmulPlans::MatmulPlans() : impl_(std::make_unique<Impl>()) {}
MatmulPlans::~MatmulPlans() = default;

Plan MatmulPlans::Impl::describe_product(const Operand& a, const Operand& b, const Operand& d) {
    Plan plan(blas);
    // fp32 stays fp32: TF32 would not agree with the CPU.
    check_blas(blas, blas.cublasLtMatmulDescCreate(plan.operation.out(), CUBLAS_COMPUTE_32F, CUDA_R_32F),
               "cublasLtMatmulDescCreate");
    set(blas, plan.operation, CUBLASLT_MATMUL_DESC_TRANSA, a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(blas, plan.operation, CUBLASLT_MATMUL_DESC_TRANSB, b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    describe(blas, plan.a, a);
    describe(blas, plan.b, b);
    describe(blas, plan.d, d);
    return plan;
}

// Best guesses of the library first: the same on every run with one library and one GPU.
std::vector<cublasLtMatmulHeuristicResult_t> MatmulPlans::Impl::proposals(const MatmulKey& key, const Plan& plan,
                                                                          int most) {
    Preference preference(blas.cublasLtMatmulPreferenceDestroy);
    check_blas(blas, blas.cublasLtMatmulPreferenceCreate(preference.out()), "cublasLtMatmulPreferenceCreate");
    set(blas, preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t(workspace_bytes));
    set(blas, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, std::uint32_t(key.alignments[0]));
    set(blas, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, std::uint32_t(key.alignments[1]));
    set(blas, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, std::uint32_t(key.alignments[2]));
    set(blas, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, std::uint32_t(key.alignments[2]));
    std::vector<cublasLtMatmulHeuristicResult_t> found(static_cast<std::size_t>(most));
    int count = 0;
    check_blas(blas,
               blas.cublasLtMatmulAlgoGetHeuristic(handle, plan.operation, plan.a, plan.b, plan.d, plan.d, preference,
                                                   most, found.data(), &count),
               "cublasLtMatmulAlgoGetHeuristic");
    found.resize(static_cast<std::size_t>(count));
    std::erase_if(found, [](const auto& proposal) { return proposal.state != CUBLAS_STATUS_SUCCESS; });
    return found;
}

namespace {

// Milliseconds of a few runs of the algorithm into `out`; a huge number where it does not run.
float time_of(MatmulPlans::Impl& plans, const Plan& plan, const cublasLtMatmulAlgo_t& algorithm, const Operand& a,
              const Operand& b, void* out, cudaStream_t stream) {
    constexpr int runs = 4;
    constexpr float never = 1e30F;
    const float one = 1.0F;
    const float zero = 0.0F;
    Timer timer;
    for (int i = 0; i <= runs; ++i) {  // the first one is not timed
        if (i == 1) timer.start(stream);
        if (plans.blas.cublasLtMatmul(plans.handle, plan.operation, &one, a.data, plan.a, b.data, plan.b, &zero, out,
                                      plan.d, out, plan.d, &algorithm, plans.workspace, std::size_t(workspace_bytes),
                                      stream) != CUBLAS_STATUS_SUCCESS)
            return never;
    }
    return timer.stop(stream);
}

}  // namespace

// Into memory of its own: what the product adds to must not change. Where there is none left, the first proposal does.
cublasLtMatmulAlgo_t MatmulPlans::Impl::choose(const MatmulKey& key, const Plan& plan, const Operand& a,
                                               const Operand& b, const Operand& d, cudaStream_t stream) {
    constexpr int candidates = 8;
    if (measured)
        if (const auto kept = measured->find(key)) return algorithm_of(*kept);
    const auto found = proposals(key, plan, measured ? candidates : 1);
    if (found.empty())
        fail(ExitCode::environment, "cuBLASLt has no algorithm for a product of {} x {} x {} ({})", d.rows, d.columns,
             a.transposed ? a.rows : a.columns, dtype_name(a.dtype));
    if (!measured) return found.front().algo;
    std::size_t best = 0;
    void* out = nullptr;
    if (cudaMalloc(&out, std::size_t(d.rows * d.columns * bytes_per_element(d.dtype))) == cudaSuccess) {
        float least = time_of(*this, plan, found[0].algo, a, b, out, stream);
        for (std::size_t i = 1; i < found.size(); ++i) {
            const float time = time_of(*this, plan, found[i].algo, a, b, out, stream);
            if (time < least) {
                least = time;
                best = i;
            }
        }
        cudaFree(out);
    } else {
        cudaGetLastError();  // forgotten
    }
    measured->add(key, choice_of(found[best].algo));
    return found[best].algo;
}

Plan& MatmulPlans::Impl::find(const Operand& a, const Operand& b, const Operand& d, bool accumulate,
                              cudaStream_t stream) {
    const MatmulKey key{.sizes = {a.rows, a.columns, b.rows, b.columns},
                        .kinds = {int(a.dtype), int(d.dtype), a.transposed, b.transposed, accumulate},
                        .alignments = {alignment(a.data), alignment(b.data), alignment(d.data)}};
    const auto found = plans.find(key);
    if (found != plans.end()) return found->second;
    Plan plan = describe_product(a, b, d);
    plan.algorithm = choose(key, plan, a, b, d, stream);
    return plans.emplace(key, std::move(plan)).first->second;
}

void measure_matmul_plans(Context& context, const std::string& file) {
    MatmulPlans::Impl& plans = context.gpu().matmul_plans().impl();
    plans.plans.clear();
    plans.measured.emplace(file, fmt::format("{}, cuBLASLt {}", device_name(), plans.blas.cublasLtGetVersion()));
}

namespace {

// d (=, or += where accumulate) a b
void product(Context& context, const Tensor& out, const Operand& a, const Operand& b, bool accumulate) {
    if (out.elements() == 0) return;
    MatmulPlans::Impl& plans = context.gpu().matmul_plans().impl();
    const auto stream = static_cast<cudaStream_t>(context.gpu().stream());
    const Plan& plan = plans.find(a, b, operand(out, false), accumulate, stream);
    const float one = 1.0F;
    const float beta = accumulate ? 1.0F : 0.0F;
    check_blas(plans.blas,
               plans.blas.cublasLtMatmul(plans.handle, plan.operation, &one, a.data, plan.a, b.data, plan.b, &beta,
                                         out.data, plan.d, out.data, plan.d, &plan.algorithm, plans.workspace,
                                         std::size_t(workspace_bytes), stream),
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
