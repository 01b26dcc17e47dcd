#include "kernels/cuda/cublaslt_product.hpp"

#include "base/error.hpp"

#include <cstring>

namespace gpas::cuda {
namespace {

cudaDataType_t type_of(Dtype dtype) { return dtype == Dtype::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

void set(const CublasLt& blas, cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t name, int value) {
    check_blas(blas, blas.cublasLtMatmulDescSetAttribute(operation, name, &value, sizeof value),
               "cublasLtMatmulDescSetAttribute");
}

void set(const CublasLt& blas, cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t name,
         const auto& value) {
    check_blas(blas, blas.cublasLtMatmulPreferenceSetAttribute(preference, name, &value, sizeof value),
               "cublasLtMatmulPreferenceSetAttribute");
}

void describe(const CublasLt& blas, CublasLtOwned<cublasLtMatrixLayout_t>& layout, Dtype dtype, std::int64_t rows,
              std::int64_t columns) {
    check_blas(blas,
               blas.cublasLtMatrixLayoutCreate(layout.out(), type_of(dtype), std::uint64_t(rows),
                                               std::uint64_t(columns), rows),
               "cublasLtMatrixLayoutCreate");
}

}  // namespace

void check_blas(const CublasLt& blas, cublasStatus_t status, const char* call) {
    if (status != CUBLAS_STATUS_SUCCESS)
        fail(ExitCode::environment, "cuBLASLt: {}: {}", call, blas.cublasLtGetStatusString(status));
}

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

CublasLtProduct::CublasLtProduct(const CublasLt& blas, const MatmulKey& key)
    : operation(blas.cublasLtMatmulDescDestroy),
      a(blas.cublasLtMatrixLayoutDestroy),
      b(blas.cublasLtMatrixLayoutDestroy),
      d(blas.cublasLtMatrixLayoutDestroy),
      beta(key.accumulates() ? 1.0F : 0.0F) {
    // Not TF32: fp32 products must agree with those of the CPU.
    check_blas(blas, blas.cublasLtMatmulDescCreate(operation.out(), CUBLAS_COMPUTE_32F, CUDA_R_32F),
               "cublasLtMatmulDescCreate");
    set(blas, operation, CUBLASLT_MATMUL_DESC_TRANSA, key.a_transposed() ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(blas, operation, CUBLASLT_MATMUL_DESC_TRANSB, key.b_transposed() ? CUBLAS_OP_T : CUBLAS_OP_N);
    describe(blas, a, key.operand_dtype(), key.sizes[0], key.sizes[1]);
    describe(blas, b, key.operand_dtype(), key.sizes[2], key.sizes[3]);
    describe(blas, d, key.result_dtype(), key.rows(), key.columns());
}

std::vector<cublasLtMatmulAlgo_t> proposals(const CublasLt& blas, cublasLtHandle_t handle, const MatmulKey& key,
                                            const CublasLtProduct& product, int most) {
    CublasLtOwned<cublasLtMatmulPreference_t> preference(blas.cublasLtMatmulPreferenceDestroy);
    check_blas(blas, blas.cublasLtMatmulPreferenceCreate(preference.out()), "cublasLtMatmulPreferenceCreate");
    set(blas, preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t(matmul_workspace_bytes));
    set(blas, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, std::uint32_t(key.alignments[0]));
    set(blas, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, std::uint32_t(key.alignments[1]));
    set(blas, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, std::uint32_t(key.alignments[2]));
    set(blas, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, std::uint32_t(key.alignments[2]));
    std::vector<cublasLtMatmulHeuristicResult_t> found(static_cast<std::size_t>(most));
    int count = 0;
    check_blas(blas,
               blas.cublasLtMatmulAlgoGetHeuristic(handle, product.operation, product.a, product.b, product.d,
                                                   product.d, preference, most, found.data(), &count),
               "cublasLtMatmulAlgoGetHeuristic");
    found.resize(static_cast<std::size_t>(count));
    std::vector<cublasLtMatmulAlgo_t> algorithms;
    for (const cublasLtMatmulHeuristicResult_t& proposal : found)
        if (proposal.state == CUBLAS_STATUS_SUCCESS) algorithms.push_back(proposal.algo);
    if (algorithms.empty())
        fail(ExitCode::environment, "cuBLASLt has no algorithm for a product of {} x {} x {} ({})", key.columns(),
             key.rows(), key.depth(), dtype_name(key.operand_dtype()));
    return algorithms;
}

cublasStatus_t enqueue(const CublasLt& blas, cublasLtHandle_t handle, const CublasLtProduct& product,
                       const cublasLtMatmulAlgo_t& algorithm, const void* a, const void* b, void* d, void* workspace,
                       cudaStream_t stream) {
    const float one = 1.0F;
    return blas.cublasLtMatmul(handle, product.operation, &one, a, product.a, b, product.b, &product.beta, d, product.d,
                               d, product.d, &algorithm, workspace, std::size_t(matmul_workspace_bytes), stream);
}

}  // namespace gpas::cuda
