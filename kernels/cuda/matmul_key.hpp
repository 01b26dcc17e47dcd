// The properties of a matrix product that the choice of its algorithm may depend on. Two products with equal keys use
// the same algorithm.
#pragma once

#include "kernels/tensor.hpp"

#include <array>
#include <compare>
#include <cstdint>

namespace gpas::cuda {

struct MatmulKey {
    // In cuBLASLt's column-major terms, for d = op(a) op(b): rows and columns of a, rows and columns of b.
    std::array<std::int64_t, 4> sizes{};
    std::array<std::int64_t, 5> kinds{};       // Dtype of a and b, Dtype of d; 0 or 1: a transposed, b transposed, d +=
    std::array<std::int64_t, 3> alignments{};  // of the addresses of a, b and d, in bytes
    auto operator<=>(const MatmulKey&) const = default;

    Dtype operand_dtype() const { return Dtype(kinds[0]); }
    Dtype result_dtype() const { return Dtype(kinds[1]); }
    bool a_transposed() const { return kinds[2] != 0; }
    bool b_transposed() const { return kinds[3] != 0; }
    bool accumulates() const { return kinds[4] != 0; }
    std::int64_t rows() const { return a_transposed() ? sizes[1] : sizes[0]; }     // of d, column-major
    std::int64_t columns() const { return b_transposed() ? sizes[2] : sizes[3]; }  // of d, column-major
    std::int64_t depth() const { return a_transposed() ? sizes[0] : sizes[1]; }    // length of the sums
};

// Keys record alignments up to this limit. It is above the alignment that any algorithm's loads need (16 bytes), and it
// is the alignment of every tensor of an arena, so the position of a tensor in its arena does not affect the choice.
constexpr std::int64_t matmul_alignment_bytes = 64;

// Keys of matmul(y, x, w), matmul_dx(dx, dy, w) and matmul_dw(dw, dy, x) of kernels/ops.hpp. A planned tensor (null
// data) counts as a tensor of an arena. Pure functions.
MatmulKey key_of_matmul(const Tensor& y, const Tensor& x, const Tensor& w);
MatmulKey key_of_matmul_dx(const Tensor& dx, const Tensor& dy, const Tensor& w);
MatmulKey key_of_matmul_dw(const Tensor& dw, const Tensor& dy, const Tensor& x);

}  // namespace gpas::cuda
