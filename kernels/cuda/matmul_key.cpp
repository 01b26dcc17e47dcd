#include "kernels/cuda/matmul_key.hpp"

namespace gpas::cuda {
namespace {

// The largest power of two, up to matmul_alignment_bytes, that divides an address.
std::int64_t alignment(const void* pointer) {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    std::int64_t bytes = matmul_alignment_bytes;
    while (address % std::uintptr_t(bytes) != 0) bytes /= 2;
    return bytes;
}

// A row-major matrix [rows, columns] has the memory layout of its column-major transpose [columns, rows].
MatmulKey key_of(const Tensor& d, const Tensor& a, bool a_transposed, const Tensor& b, bool b_transposed,
                 bool accumulates) {
    return {.sizes = {a.columns(), a.rows(), b.columns(), b.rows()},
            .kinds = {std::int64_t(a.dtype), std::int64_t(d.dtype), a_transposed, b_transposed, accumulates},
            .alignments = {alignment(a.data), alignment(b.data), alignment(d.data)}};
}

}  // namespace

// Row-major y = x wᵀ has the memory layout of column-major yᵀ = w xᵀ, so the operands are passed in swapped order.
// dxᵀ = wᵀ dyᵀ and dwᵀ = xᵀ dy follow in the same way.
MatmulKey key_of_matmul(const Tensor& y, const Tensor& x, const Tensor& w) {
    return key_of(y, w, true, x, false, false);
}

MatmulKey key_of_matmul_dx(const Tensor& dx, const Tensor& dy, const Tensor& w) {
    return key_of(dx, w, false, dy, false, false);
}

MatmulKey key_of_matmul_dw(const Tensor& dw, const Tensor& dy, const Tensor& x) {
    return key_of(dw, x, false, dy, true, true);
}

}  // namespace gpas::cuda
