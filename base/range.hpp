// How a dimension is dealt out to ranks.
#pragma once

#include <cstdint>

namespace gpas {

struct Range {
    std::int64_t begin = 0;
    std::int64_t end = 0;
    std::int64_t size() const { return end - begin; }
    bool empty() const { return end <= begin; }
};

// Part `part` of `parts` of n elements. Sizes that do not divide differ by one: nothing is padded, nothing is lost, and
// for n >= parts no part is empty.
constexpr Range shard_range(std::int64_t n, std::int64_t part, std::int64_t parts) {
    return {n * part / parts, n * (part + 1) / parts};
}
// The largest part.
constexpr std::int64_t shard_size(std::int64_t n, std::int64_t parts) { return (n + parts - 1) / parts; }

constexpr std::int64_t round_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }

constexpr Range overlap(Range a, Range b) {
    const Range both{a.begin > b.begin ? a.begin : b.begin, a.end < b.end ? a.end : b.end};
    return both.end > both.begin ? both : Range{both.begin, both.begin};
}

}  // namespace gpas
