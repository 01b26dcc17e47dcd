#include "engine/report/json_values.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>

namespace gpas {

ReportJson short_number(double value, int digits) {
    if (!std::isfinite(value)) return nullptr;
    const double rounded = std::strtod(fmt::format("{:.{}g}", value, digits).c_str(), nullptr);
    // An integer is written without ".0".
    if (rounded == std::trunc(rounded) && std::abs(rounded) < 1e15) return std::int64_t(rounded);
    return rounded;
}

ReportJson whole_number(double value) {
    if (!std::isfinite(value)) return nullptr;
    return std::int64_t(std::llround(value));
}

}  // namespace gpas
