// Curves and bars of Unicode blocks.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace gpas {

// `columns` values, each the median of its share of the given ones (which repeat where they are fewer): a spike of a
// few steps leaves no trace. NaN where the share holds no number.
std::vector<double> resampled(std::span<const double> values, std::size_t columns);

struct ChartRange {
    double low = 0.0;
    double high = 0.0;
};

// From the smallest to all but the largest twentieth: what a loss begins with, or ends in, does not flatten the rest.
// NaN without numbers.
ChartRange chart_range(std::span<const double> values);

// One character a value, ▁ to █ from low to high, a space for NaN.
std::string sparkline(std::span<const double> values, ChartRange range);

// The same over `rows` lines, the top one first.
std::vector<std::string> chart(std::span<const double> values, ChartRange range, std::size_t rows);

// So many columns, of which a share is filled, to an eighth of a column.
struct Bar {
    std::string filled;
    std::string rest;
};
Bar bar(double share, std::size_t columns);

}  // namespace gpas
