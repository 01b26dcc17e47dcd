// Contents of MatmulPlans; only matmul.cpp and matmul_timing.cpp include this header.
#pragma once

#include "kernels/cuda/cublaslt_product.hpp"
#include "kernels/cuda/matmul_plans.hpp"

#include <map>

namespace gpas::cuda {

struct MatmulPlans::Impl {
    Impl();
    ~Impl();
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    CublasLt blas = load_cublaslt();
    CublasLtOwned<cublasLtHandle_t> handle{blas.cublasLtDestroy};
    void* workspace = nullptr;
    MatmulChoices choices;  // of timed products; other products use cuBLASLt's first proposal
    std::map<MatmulKey, CublasLtProduct> products;

    // The product's descriptors and algorithm, created at the first call with this key.
    const CublasLtProduct& find(const MatmulKey& key);
};

}  // namespace gpas::cuda
