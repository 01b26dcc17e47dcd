// Reduces long series to the points that a figure can show.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace gpas {

// The indices of the values to draw, increasing. All of them if there are at most `most`, which is at least 4.
// Otherwise at most `most`: the first value, the last value, and of each of (most - 2) / 2 equal ranges in between the
// smallest and the largest value, so that a spike of one step stays visible. NaN and Inf are drawn as gaps: a range is
// represented by its first index if no value in it is finite. Pure.
std::vector<std::size_t> thinned(std::span<const double> values, std::size_t most);

// The half-open ranges [begin, end) of `count` equal parts of `size` elements; fewer parts if `size` is less. Pure.
struct IndexRange {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::size_t middle() const { return begin + (end - begin) / 2; }
};
std::vector<IndexRange> equal_parts(std::size_t size, std::size_t count);

struct MeanAndDeviation {
    double mean = 0.0;       // NaN without values
    double deviation = 0.0;  // standard deviation of the values; NaN with fewer than two values
    std::size_t count = 0;   // finite values
};

// Over the finite values. Pure.
MeanAndDeviation mean_and_deviation(std::span<const double> values);

// The middle finite value; NaN if there is no finite value. Pure.
double median_of(std::span<const double> values);

}  // namespace gpas
