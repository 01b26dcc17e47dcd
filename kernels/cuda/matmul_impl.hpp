// What MatmulPlans holds; for the two files that use it.
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
    MatmulChoices choices;  // of what was timed; other products take the first proposal
    std::map<MatmulKey, CublasLtProduct> products;

    const CublasLtProduct& find(const MatmulKey& key);
};

}  // namespace gpas::cuda
