// The numbers of a report's data as JSON.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>

namespace gpas {

using ReportJson = nlohmann::ordered_json;

// `value` with `digits` significant digits, so that the page stays small; null for NaN and Inf.
ReportJson short_number(double value, int digits = 6);

// A number of tokens or of steps; null if `value` is not finite.
ReportJson whole_number(double value);

}  // namespace gpas
