// Curves and bars drawn with Unicode block characters.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace gpas {

// Reduces `values` to `columns` values: each is the median of its share of the values, so that a spike of a few steps
// is not visible. If there are fewer values than columns, values repeat. NaN if a share has no finite number.
std::vector<double> resampled(std::span<const double> values, std::size_t columns);

struct ChartRange {
    double low = 0.0;
    double high = 0.0;
};

// From the minimum to the 95 % quantile, so that the high loss at the beginning, or at divergence, does not flatten the
// rest of the curve. NaN if there is no finite number.
ChartRange chart_range(std::span<const double> values);

// One character per value: ▁ to █ from low to high, a space for NaN.
std::string sparkline(std::span<const double> values, ChartRange range);

// A sparkline that is `rows` lines high; the top line is first.
std::vector<std::string> chart(std::span<const double> values, ChartRange range, std::size_t rows);

// A progress bar of `columns` columns, filled to `share` (0 to 1) with a resolution of an eighth of a column.
struct Bar {
    std::string filled;
    std::string rest;
};
Bar bar(double share, std::size_t columns);

}  // namespace gpas
