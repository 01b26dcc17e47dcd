// The cuBLASLt functions that gpas calls, for virtual GPUs: products of column-major matrices. The algorithms differ in
// the order of summation, as in the real library.
#include "kernels/tensor.hpp"
#include "tests/virtual_gpu/device.hpp"

#include <cublasLt.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

using namespace gpas::virtual_gpu;
using gpas::bf16;

namespace {

constexpr int algorithms = 3;

struct Description {
    bool transposed_a = false, transposed_b = false;
};
struct Layout {
    cudaDataType_t type;
    std::int64_t rows, columns, stride;
};

std::size_t value_bytes(cudaDataType_t type) { return type == CUDA_R_16BF ? sizeof(bf16) : sizeof(float); }

Description& description(cublasLtMatmulDesc_t handle) { return *reinterpret_cast<Description*>(handle); }
const Layout& layout(cublasLtMatrixLayout_t handle) { return *reinterpret_cast<const Layout*>(handle); }

void touch_matrix(const void* data, const Layout& l, Access access) {
    for (std::int64_t column = 0; column < l.columns; ++column)
        touch(static_cast<const std::byte*>(data) + std::size_t(column * l.stride) * value_bytes(l.type),
              std::size_t(l.rows) * value_bytes(l.type), access);
}

float element(const void* data, const Layout& l, std::int64_t row, std::int64_t column) {
    const std::int64_t at = row + column * l.stride;
    if (l.type == CUDA_R_16BF) return float(static_cast<const bf16*>(data)[at]);
    return static_cast<const float*>(data)[at];
}

// A copy of an operand in fp32, in which the `inner` numbers of each of its `rows` rows are contiguous.
std::vector<float> packed(const void* data, const Layout& l, bool inner_is_rows, std::int64_t rows,
                          std::int64_t inner) {
    std::vector<float> values(std::size_t(rows * inner));
    for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t k = 0; k < inner; ++k)
            values[std::size_t(i * inner + k)] = inner_is_rows ? element(data, l, k, i) : element(data, l, i, k);
    return values;
}

float dot(const float* a, const float* b, std::int64_t inner, int algorithm) {
    float sum = 0.0F;
    const std::int64_t part = (inner + algorithm) / (algorithm + 1);
    for (std::int64_t begin = 0; begin < inner; begin += part) {
        double partial = 0.0;
        for (std::int64_t k = begin; k < std::min(begin + part, inner); ++k) partial += double(a[k]) * double(b[k]);
        sum += float(partial);
    }
    return sum;
}

struct Product {
    Description description;
    Layout a_layout, b_layout, d_layout;
    const void* a;
    const void* b;
    void* d;
    float alpha, beta;
    int algorithm;

    void run() const {
        const std::int64_t inner = description.transposed_a ? a_layout.rows : a_layout.columns;
        touch_matrix(a, a_layout, Access::read);
        touch_matrix(b, b_layout, Access::read);
        if (beta != 0.0F) touch_matrix(d, d_layout, Access::read);
        touch_matrix(d, d_layout, Access::write);
        const std::vector<float> left = packed(a, a_layout, description.transposed_a, d_layout.rows, inner);
        const std::vector<float> right = packed(b, b_layout, !description.transposed_b, d_layout.columns, inner);
        for (std::int64_t column = 0; column < d_layout.columns; ++column)
            for (std::int64_t row = 0; row < d_layout.rows; ++row) {
                float value =
                    alpha * dot(&left[std::size_t(row * inner)], &right[std::size_t(column * inner)], inner, algorithm);
                if (beta != 0.0F) value += beta * element(d, d_layout, row, column);
                const std::int64_t at = row + column * d_layout.stride;
                if (d_layout.type == CUDA_R_16BF)
                    static_cast<bf16*>(d)[at] = bf16(value);
                else
                    static_cast<float*>(d)[at] = value;
            }
    }
};

template <class Handle, class T>
cublasStatus_t give(Handle* handle, T value) {
    *handle = reinterpret_cast<Handle>(new T(value));
    return CUBLAS_STATUS_SUCCESS;
}
template <class T, class Handle>
cublasStatus_t take_back(Handle handle) {
    delete reinterpret_cast<T*>(handle);
    return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) { return give(handle, 0); }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return take_back<int>(handle); }
const char* cublasLtGetStatusString(cublasStatus_t) { return "a status of the virtual cuBLASLt"; }
std::size_t cublasLtGetVersion() { return 130000; }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* handle, cublasComputeType_t, cudaDataType_t) {
    return give(handle, Description{});
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t handle) { return take_back<Description>(handle); }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t handle, cublasLtMatmulDescAttributes_t name,
                                              const void* value, std::size_t) {
    int operation = 0;
    std::memcpy(&operation, value, sizeof operation);
    if (name == CUBLASLT_MATMUL_DESC_TRANSA) description(handle).transposed_a = operation == CUBLAS_OP_T;
    if (name == CUBLASLT_MATMUL_DESC_TRANSB) description(handle).transposed_b = operation == CUBLAS_OP_T;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* handle, cudaDataType type, std::uint64_t rows,
                                          std::uint64_t columns, std::int64_t stride) {
    return give(handle, Layout{type, std::int64_t(rows), std::int64_t(columns), stride});
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t handle) { return take_back<Layout>(handle); }

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* handle) { return give(handle, 0); }
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t handle) { return take_back<int>(handle); }
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t,
                                                    const void*, std::size_t) {
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t, int most,
                                              cublasLtMatmulHeuristicResult_t* results, int* count) {
    *count = std::min(most, algorithms);
    for (int i = 0; i < *count; ++i) {
        results[i] = {};
        results[i].algo.data[0] = std::uint64_t(i) + 1;
        results[i].state = CUBLAS_STATUS_SUCCESS;
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t operation, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void*, cublasLtMatrixLayout_t, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algorithm, void*,
                              std::size_t, cudaStream_t stream) {
    const Product product{.description = description(operation),
                          .a_layout = layout(a_layout),
                          .b_layout = layout(b_layout),
                          .d_layout = layout(d_layout),
                          .a = a,
                          .b = b,
                          .d = d,
                          .alpha = *static_cast<const float*>(alpha),
                          .beta = *static_cast<const float*>(beta),
                          .algorithm = int(algorithm->data[0]) - 1};
    auto* const on = reinterpret_cast<Stream*>(stream);
    const Layout& l = product.d_layout;
    on->device->enqueue(
        on, "a product of " + std::to_string(l.rows) + " x " + std::to_string(l.columns), [product] { product.run(); },
        true);
    return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
