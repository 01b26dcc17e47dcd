// CPU backend of matrix products, by oneDNN. The blocks of a product do not depend on the number of threads, so results
// do not either.
#pragma once

#include "kernels/ops.hpp"

#include <memory>

namespace gpas::cpu {

// A matrix as oneDNN describes it: element (i, j) is at data + i · row_stride + j · column_stride (in elements).
struct MatrixView {
    void* data = nullptr;
    Dtype dtype = Dtype::fp32;
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::int64_t row_stride = 0;
    std::int64_t column_stride = 1;
};

MatrixView plain(const Tensor& x);       // x itself
MatrixView transposed(const Tensor& x);  // xᵀ, a view of the same memory

// c = a b, or c += a b if `accumulate`. c is plain(), and fp32 if `accumulate`. bf16 products are summed in fp32. On a
// processor without bf16 products, bf16 operands are widened to fp32 before the product.
void product(Context&, MatrixView c, MatrixView a, MatrixView b, bool accumulate);

// oneDNN's compiled products for all shapes used so far, and their work memory per thread. A Context owns it.
class MatmulCache {
public:
    MatmulCache();
    ~MatmulCache();
    MatmulCache(const MatmulCache&) = delete;
    MatmulCache& operator=(const MatmulCache&) = delete;

    struct Impl;
    Impl& impl() { return *impl_; }

private:
    std::unique_ptr<Impl> impl_;
};

// Whether oneDNN has bf16 products for this processor (AVX-512 and later). If not, product() computes them in fp32.
// Thread-safe.
bool has_bf16_matmul();

}  // namespace gpas::cpu
