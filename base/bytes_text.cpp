#include "base/bytes_text.hpp"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

namespace gpas {

std::string bytes_text(double bytes) {
    if (!std::isfinite(bytes)) return "?";
    if (std::fabs(bytes) < 1023.5) return fmt::format("{:.0f} byte{}", bytes, std::fabs(bytes) == 1.0 ? "" : "s");
    static constexpr const char* units[] = {"KiB", "MiB", "GiB", "TiB"};
    std::size_t unit = 0;
    double scaled = bytes / 1024;
    // 1023.5 would be shown as "1024".
    while (std::fabs(scaled) >= 1023.5 && unit + 1 < std::size(units)) scaled /= 1024, ++unit;
    const double size = std::fabs(scaled);
    return fmt::format("{:.{}f} {}", scaled, size < 9.995 ? 2 : size < 99.95 ? 1 : 0, units[unit]);
}

}  // namespace gpas
