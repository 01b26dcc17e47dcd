#include "io/data/permutation.hpp"

#include "base/error.hpp"

#include <cmath>

namespace gpas {

Permutation::Permutation(std::int64_t n, std::uint64_t seed, std::uint64_t stream, std::uint64_t epoch) : n_(n) {
    require(n >= 1 && n <= (std::int64_t(1) << 62), "permutation of {} elements", n);
    // sqrt is a guess for large n; the loops make rows = ceil(sqrt(n)) exact.
    rows_ = std::uint64_t(std::sqrt(double(n)));
    while (rows_ * rows_ < std::uint64_t(n)) ++rows_;
    while (rows_ > 1 && (rows_ - 1) * (rows_ - 1) >= std::uint64_t(n)) --rows_;
    columns_ = (std::uint64_t(n) + rows_ - 1) / rows_;
    const std::uint64_t key = mix64(mix64(mix64(seed) ^ stream) ^ epoch);
    for (int round = 0; round < rounds; ++round) keys_[std::size_t(round)] = mix64(key + std::uint64_t(round));
}

std::int64_t Permutation::operator()(std::int64_t i) const {
    require(i >= 0 && i < n_, "element {} of a permutation of {}", i, n_);
    std::uint64_t place = std::uint64_t(i);
    do {
        std::uint64_t left = place / columns_, right = place % columns_;
        for (int round = 0; round < rounds; round += 2) {
            left = (left + mix64(right ^ keys_[std::size_t(round)]) % rows_) % rows_;
            right = (right + mix64(left ^ keys_[std::size_t(round) + 1]) % columns_) % columns_;
        }
        place = left * columns_ + right;
    } while (place >= std::uint64_t(n_));
    return std::int64_t(place);
}

}  // namespace gpas
