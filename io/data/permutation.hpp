// A permutation of [0, n) that is computed, not stored. An element takes O(1) time, so the order of samples needs no
// index. The permutation depends only on n and (seed, stream, epoch), not on the length of the run, the batch size or
// the layout of the ranks.
//
// A generalised Feistel network (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002): i is written
// as left * columns + right on a grid of rows x columns >= n cells with rows = ceil(sqrt(n)), and rounds
//     left = (left + F(right)) mod rows,  right = (right + F(left)) mod columns
// are invertible for any F. A result >= n is permuted again until it is below n; the grid has fewer than 2 sqrt(n)
// cells >= n.
#pragma once

#include <array>
#include <cstdint>

namespace gpas {

// A bijection of 64-bit numbers that mixes all bits (SplitMix64). Chained calls combine several keys into one.
constexpr std::uint64_t mix64(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

class Permutation {
public:
    // Different (seed, stream, epoch) give unrelated permutations. 1 <= n <= 2^62.
    Permutation(std::int64_t n, std::uint64_t seed, std::uint64_t stream, std::uint64_t epoch);

    std::int64_t operator()(std::int64_t i) const;  // element i in [0, n); thread-safe
    std::int64_t size() const { return n_; }

private:
    static constexpr int rounds = 16;  // with 8, orders of five elements are measurably biased; with 16 they are not

    std::int64_t n_;
    std::uint64_t rows_;
    std::uint64_t columns_;
    std::array<std::uint64_t, rounds> keys_;
};

}  // namespace gpas
