// One matrix product as cuBLASLt wants it described, and what may compute it.
#pragma once

#include "kernels/cuda/cublaslt.hpp"
#include "kernels/cuda/matmul_choices.hpp"

#include <utility>
#include <vector>

namespace gpas::cuda {

// As NVIDIA advises for Hopper; a split-k algorithm keeps its partial sums there.
constexpr std::int64_t matmul_workspace_bytes = 32 << 20;

// Error(environment) that names the call and cuBLASLt's reason.
void check_blas(const CublasLt& blas, cublasStatus_t status, const char* call);

// Owners of cuBLASLt's descriptors.
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
    operator T() const { return handle_; }  // NOLINT: to be passed like the handle

private:
    cublasStatus_t (*destroy_)(T);
    T handle_ = nullptr;
};

static_assert(sizeof(cublasLtMatmulAlgo_t) == sizeof(MatmulChoice));
cublasLtMatmulAlgo_t algorithm_of(const MatmulChoice& choice);
MatmulChoice choice_of(const cublasLtMatmulAlgo_t& algorithm);

struct CublasLtProduct {
    CublasLtProduct(const CublasLt& blas, const MatmulKey& key);

    CublasLtOwned<cublasLtMatmulDesc_t> operation;
    CublasLtOwned<cublasLtMatrixLayout_t> a, b, d;
    float beta;
    cublasLtMatmulAlgo_t algorithm{};
};

// The library's best guesses first, at most `most` and at least one: the same on every run with one library and one
// GPU. Error(environment) if there is none.
std::vector<cublasLtMatmulAlgo_t> proposals(const CublasLt& blas, cublasLtHandle_t handle, const MatmulKey& key,
                                            const CublasLtProduct& product, int most);

// d = a b + beta d, enqueued.
cublasStatus_t enqueue(const CublasLt& blas, cublasLtHandle_t handle, const CublasLtProduct& product,
                       const cublasLtMatmulAlgo_t& algorithm, const void* a, const void* b, void* d, void* workspace,
                       cudaStream_t stream);

}  // namespace gpas::cuda
