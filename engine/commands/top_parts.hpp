// The parts that lines of the `gpas top` screen are made of.
#pragma once

#include "engine/commands/top_text.hpp"

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace gpas {

inline constexpr std::size_t label_columns = 8;
inline constexpr std::size_t tall_rows = 40;  // from this height on, the screen shows more

// "a · b · c" from the parts that are not empty; "unknown" if all are empty.
Line joined(const std::vector<Span>& parts);

// `text` after the label, which takes label_columns columns.
Line labelled(const char* label, const Line& text);

// "3 min ago" for a time in seconds since 1970; empty if `time` is NaN.
std::string ago_text(double time, double now);

// The text if `number` is known (finite); otherwise an empty text.
template <class... Args>
std::string known(double number, fmt::format_string<Args...> format, Args&&... args) {
    return std::isfinite(number) ? fmt::format(format, std::forward<Args>(args)...) : "";
}

}  // namespace gpas
