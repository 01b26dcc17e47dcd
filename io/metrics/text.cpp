#include "io/metrics/text.hpp"

#include "base/error.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>

namespace gpas {

std::string duration_text(double seconds) {
    if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e11) return "?";
    const std::int64_t s = std::llround(seconds), m = s / 60, h = m / 60, d = h / 24;
    if (d > 0) return fmt::format("{}d{:02}h", d, h % 24);
    if (h > 0) return fmt::format("{}h{:02}m", h, m % 60);
    if (m > 0) return fmt::format("{}m{:02}s", m, s % 60);
    return fmt::format("{}s", s);
}

std::string quantity_text(double number) {
    if (!std::isfinite(number)) return "?";
    if (std::fabs(number) >= 999.95e18) return fmt::format("{:.2e}", number);
    if (std::fabs(number) < 999.5) return fmt::format("{:.0f}", number);
    static constexpr const char* units[] = {"k", "M", "G", "T", "P", "E"};
    std::size_t unit = 0;
    double scaled = number / 1000;
    // 999.95 would print as "1000.0"
    while (std::fabs(scaled) >= 999.95 && unit + 1 < std::size(units)) scaled /= 1000, ++unit;
    return fmt::format("{:.{}f}{}", scaled, std::fabs(scaled) < 9.995 ? 2 : 1, units[unit]);
}

std::string perplexity_text(double loss) {
    const double perplexity = std::exp(loss);
    if (std::isnan(perplexity)) return "?";
    return perplexity < 99999.995 ? fmt::format("{:.2f}", perplexity) : fmt::format("{:.2e}", perplexity);
}

}  // namespace gpas
