// Matrix products on the CPU by oneDNN, in blocks that do not depend on the number of threads.
#pragma once

#include "kernels/ops.hpp"

#include <memory>

namespace gpas::cpu {

// A matrix as oneDNN sees it: element (i, j) at data + i · row_stride + j · column_stride (in elements).
struct MatrixView {
    void* data = nullptr;
    Dtype dtype = Dtype::fp32;
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::int64_t row_stride = 0;
    std::int64_t column_stride = 1;
};

MatrixView plain(const Tensor& x);
MatrixView transposed(const Tensor& x);

// c (=, or += where accumulate) a b; accumulate: c is fp32. c is plain. bf16 products are summed in fp32, also where
// the processor has none: there a and b are widened to fp32 first.
void product(Context&, MatrixView c, MatrixView a, MatrixView b, bool accumulate);

// oneDNN's compiled products for the shapes met so far, and their work memory for each thread. Belongs to a Context.
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

// Whether oneDNN has bf16 products for this processor (AVX-512 and later). Without, they are computed in fp32.
bool has_bf16_matmul();

}  // namespace gpas::cpu
