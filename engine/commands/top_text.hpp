// Text with colours for a terminal, measured and cut in columns.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace gpas {

enum class Style { plain, strong, faint, good, warning, bad, accent };

struct Span {
    std::string text;
    Style style = Style::plain;
};

using Line = std::vector<Span>;

// Columns that UTF-8 takes on a terminal: two for East Asian wide characters and emoji, none for combining marks.
std::size_t columns_of(std::string_view text);
std::size_t columns_of(const Line& line);

// Control characters and what is not UTF-8 become '?': text from files must not steer the terminal.
std::string printable(std::string_view text);

// At most so many columns, "…" last where something was cut.
std::string cut(std::string_view text, std::size_t columns);

// Exactly so many columns: cut, or spaces to its right (padded) or left (right_aligned).
std::string padded(std::string_view text, std::size_t columns);
std::string right_aligned(std::string_view text, std::size_t columns);

// `left`, and `right` at the end of so many columns; the left gives way.
Line spread(Line left, Line right, std::size_t columns);

// Cut to so many columns; with `color`, styles as ANSI escapes.
std::string rendered(const Line& line, std::size_t columns, bool color);

}  // namespace gpas
