// What a matrix product is, as far as the choice of its algorithm may depend on it. Two products with the same key take
// the same algorithm.
#pragma once

#include "kernels/tensor.hpp"

#include <array>
#include <compare>
#include <cstdint>

namespace gpas::cuda {

struct MatmulKey {
    // As cuBLASLt sees them, column-major: rows and columns of a, rows and columns of b.
    std::array<std::int64_t, 4> sizes{};
    std::array<std::int64_t, 5> kinds{};       // Dtype in and out; 1 or 0: a transposed, b transposed, d accumulates
    std::array<std::int64_t, 3> alignments{};  // of the addresses of a, b and the result, bytes
    auto operator<=>(const MatmulKey&) const = default;

    Dtype operand_dtype() const { return Dtype(kinds[0]); }
    Dtype result_dtype() const { return Dtype(kinds[1]); }
    bool a_transposed() const { return kinds[2] != 0; }
    bool b_transposed() const { return kinds[3] != 0; }
    bool accumulates() const { return kinds[4] != 0; }
    std::int64_t rows() const { return a_transposed() ? sizes[1] : sizes[0]; }     // of the result, column-major
    std::int64_t columns() const { return b_transposed() ? sizes[2] : sizes[3]; }  // of the result, column-major
    std::int64_t depth() const { return a_transposed() ? sizes[0] : sizes[1]; }    // of the sum
};

// Keys count alignments up to this: more than any load of an algorithm asks for (16 bytes), and what every tensor of an
// arena has, so that the place of a tensor in its arena has no part in the choice.
constexpr std::int64_t matmul_alignment_bytes = 64;

// The product that matmul(y, x, w), matmul_dx(dx, dy, w) and matmul_dw(dw, dy, x) of kernels/ops.hpp are. A tensor
// without memory (of a plan) counts as one of an arena. Pure.
MatmulKey key_of_matmul(const Tensor& y, const Tensor& x, const Tensor& w);
MatmulKey key_of_matmul_dx(const Tensor& dx, const Tensor& dy, const Tensor& w);
MatmulKey key_of_matmul_dw(const Tensor& dw, const Tensor& dy, const Tensor& x);

}  // namespace gpas::cuda
