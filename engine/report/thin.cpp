#include "engine/report/thin.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gpas {
namespace {

// Adds the indices of the smallest and of the largest finite value of the range, in the order of the series.
void add_extremes(std::span<const double> values, IndexRange range, std::vector<std::size_t>& kept) {
    std::size_t low = range.end, high = range.end;
    for (std::size_t i = range.begin; i < range.end; ++i) {
        if (!std::isfinite(values[i])) continue;
        if (low == range.end || values[i] < values[low]) low = i;
        if (high == range.end || values[i] > values[high]) high = i;
    }
    if (low == range.end) return kept.push_back(range.begin);
    kept.push_back(std::min(low, high));
    if (low != high) kept.push_back(std::max(low, high));
}

}  // namespace

std::vector<IndexRange> equal_parts(std::size_t size, std::size_t count) {
    const std::size_t parts = std::min(size, count);
    std::vector<IndexRange> ranges;
    for (std::size_t i = 0; i < parts; ++i) ranges.push_back({i * size / parts, (i + 1) * size / parts});
    return ranges;
}

std::vector<std::size_t> thinned(std::span<const double> values, std::size_t most) {
    std::vector<std::size_t> kept;
    if (values.size() <= most) {
        for (std::size_t i = 0; i < values.size(); ++i) kept.push_back(i);
        return kept;
    }
    kept.push_back(0);
    for (const IndexRange& part : equal_parts(values.size() - 2, (most - 2) / 2))
        add_extremes(values, {part.begin + 1, part.end + 1}, kept);
    kept.push_back(values.size() - 1);
    return kept;
}

MeanAndDeviation mean_and_deviation(std::span<const double> values) {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    MeanAndDeviation result{.mean = nan, .deviation = nan};
    double sum = 0.0;
    for (const double value : values) {
        if (!std::isfinite(value)) continue;
        sum += value;
        ++result.count;
    }
    if (result.count == 0) return result;
    result.mean = sum / double(result.count);
    double squares = 0.0;
    for (const double value : values)
        if (std::isfinite(value)) squares += (value - result.mean) * (value - result.mean);
    if (result.count > 1) result.deviation = std::sqrt(squares / double(result.count - 1));
    return result;
}

double median_of(std::span<const double> values) {
    std::vector<double> finite;
    std::ranges::copy_if(values, std::back_inserter(finite), [](double value) { return std::isfinite(value); });
    if (finite.empty()) return std::numeric_limits<double>::quiet_NaN();
    const auto middle = finite.begin() + std::ptrdiff_t(finite.size() / 2);
    std::ranges::nth_element(finite, middle);
    return *middle;
}

}  // namespace gpas
