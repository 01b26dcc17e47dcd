// Half-open ranges, and how a dimension is divided among ranks.
#pragma once

#include <cstdint>

namespace gpas {

// [begin, end).
struct Range {
    std::int64_t begin = 0;
    std::int64_t end = 0;
    std::int64_t size() const { return end - begin; }
    bool empty() const { return end <= begin; }
};

// Part `part` (from 0) of n elements that are divided into `parts` parts, without padding. If `parts` does not divide
// n, the sizes of the parts differ by at most one. If n >= parts, no part is empty.
constexpr Range shard_range(std::int64_t n, std::int64_t part, std::int64_t parts) {
    return {n * part / parts, n * (part + 1) / parts};
}
// The size of the largest part: ⌈n / parts⌉.
constexpr std::int64_t shard_size(std::int64_t n, std::int64_t parts) { return (n + parts - 1) / parts; }

// The smallest multiple of `unit` that is at least n.
constexpr std::int64_t round_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }

// The intersection; an empty range if the ranges do not overlap.
constexpr Range overlap(Range a, Range b) {
    const Range both{a.begin > b.begin ? a.begin : b.begin, a.end < b.end ? a.end : b.end};
    return both.end > both.begin ? both : Range{both.begin, both.begin};
}

}  // namespace gpas
