#include "engine/commands/top_chart.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gpas {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr const char* heights[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr const char* widths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};

std::vector<double> numbers_of(std::span<const double> values) {
    std::vector<double> numbers;
    for (const double value : values)
        if (std::isfinite(value)) numbers.push_back(value);
    return numbers;
}

double quantile(std::vector<double>& numbers, double share) {
    if (numbers.empty()) return nan;
    const auto at = numbers.begin() + std::ptrdiff_t(share * double(numbers.size() - 1));
    std::nth_element(numbers.begin(), at, numbers.end());
    return *at;
}

// Height of a value in eighths of a row: at least 1, so that every value is visible; 0 for NaN and Inf.
int eighths(double value, ChartRange range, std::size_t rows) {
    if (!std::isfinite(value)) return 0;
    const int most = 8 * int(rows);
    if (!(range.high > range.low)) return most / 2;
    const double share = std::clamp((value - range.low) / (range.high - range.low), 0.0, 1.0);
    return 1 + int(std::lround(share * (most - 1)));
}

}  // namespace

std::vector<double> resampled(std::span<const double> values, std::size_t columns) {
    std::vector<double> result(values.empty() ? 0 : columns, nan);
    for (std::size_t i = 0; i < result.size(); ++i) {
        const std::size_t begin = i * values.size() / columns;
        const std::size_t end = std::max(begin + 1, (i + 1) * values.size() / columns);
        std::vector<double> numbers = numbers_of(values.subspan(begin, end - begin));
        result[i] = quantile(numbers, 0.5);
    }
    return result;
}

ChartRange chart_range(std::span<const double> values) {
    std::vector<double> numbers = numbers_of(values);
    const double high = quantile(numbers, 0.95);
    return {quantile(numbers, 0.0), high};
}

std::string sparkline(std::span<const double> values, ChartRange range) {
    std::string line;
    for (const double value : values) line += heights[eighths(value, range, 1)];
    return line;
}

std::vector<std::string> chart(std::span<const double> values, ChartRange range, std::size_t rows) {
    std::vector<std::string> lines(rows);
    for (const double value : values) {
        const int height = eighths(value, range, rows);
        for (std::size_t row = 0; row < rows; ++row) {
            const int below = 8 * int(rows - 1 - row);
            lines[row] += heights[std::clamp(height - below, 0, 8)];
        }
    }
    return lines;
}

Bar bar(double share, std::size_t columns) {
    const std::size_t most = 8 * columns;
    const double clamped = std::isfinite(share) ? std::clamp(share, 0.0, 1.0) : 0.0;
    const std::size_t filled = std::min(most, std::size_t(clamped * double(most)));
    Bar result;
    for (std::size_t i = 0; i < filled / 8; ++i) result.filled += "█";
    std::size_t used = filled / 8;
    if (filled % 8 > 0) result.filled += widths[filled % 8], ++used;
    for (; used < columns; ++used) result.rest += "░";
    return result;
}

}  // namespace gpas
