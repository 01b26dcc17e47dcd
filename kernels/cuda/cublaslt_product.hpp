// cuBLASLt's descriptors of one matrix product, the algorithms that cuBLASLt proposes for it, and the call.
#pragma once

#include "kernels/cuda/cublaslt.hpp"
#include "kernels/cuda/matmul_choices.hpp"

#include <utility>
#include <vector>

namespace gpas::cuda {

// Size that NVIDIA recommends for Hopper. Split-k algorithms keep their partial sums in the workspace.
constexpr std::int64_t matmul_workspace_bytes = 32 << 20;

// Throws Error(environment) with the name of the call and cuBLASLt's reason if status is not success.
void check_blas(const CublasLt& blas, cublasStatus_t status, const char* call);

// Owns one descriptor or handle of cuBLASLt.
template <class T>
class CublasLtOwned {
public:
    explicit CublasLtOwned(cublasStatus_t (*destroy)(T)) : destroy_(destroy) {}
    ~CublasLtOwned() {
        if (handle_ != nullptr) destroy_(handle_);
    }
    CublasLtOwned(CublasLtOwned&& other) noexcept
        : destroy_(other.destroy_), handle_(std::exchange(other.handle_, nullptr)) {}
    CublasLtOwned& operator=(CublasLtOwned&&) = delete;
    T* out() { return &handle_; }
    operator T() const { return handle_; }  // NOLINT: implicit, so that calls of cuBLASLt take this object

private:
    cublasStatus_t (*destroy_)(T);
    T handle_ = nullptr;
};

static_assert(sizeof(cublasLtMatmulAlgo_t) == sizeof(MatmulChoice));
cublasLtMatmulAlgo_t algorithm_of(const MatmulChoice& choice);
MatmulChoice choice_of(const cublasLtMatmulAlgo_t& algorithm);

// Column-major d = a b + beta d for the sizes, dtypes and transpositions of a key.
struct CublasLtProduct {
    CublasLtProduct(const CublasLt& blas, const MatmulKey& key);

    CublasLtOwned<cublasLtMatmulDesc_t> operation;
    CublasLtOwned<cublasLtMatrixLayout_t> a, b, d;
    float beta;
    cublasLtMatmulAlgo_t algorithm{};
};

// Algorithms for the product, in the order of cuBLASLt's heuristic, best first: at least one, at most `most`. One
// version of cuBLASLt on one GPU gives the same list in every run. Error(environment) if cuBLASLt has no algorithm.
std::vector<cublasLtMatmulAlgo_t> proposals(const CublasLt& blas, cublasLtHandle_t handle, const MatmulKey& key,
                                            const CublasLtProduct& product, int most);

// Enqueues d = a b + beta d on `stream`. workspace: matmul_workspace_bytes of device memory.
cublasStatus_t enqueue(const CublasLt& blas, cublasLtHandle_t handle, const CublasLtProduct& product,
                       const cublasLtMatmulAlgo_t& algorithm, const void* a, const void* b, void* d, void* workspace,
                       cudaStream_t stream);

}  // namespace gpas::cuda
