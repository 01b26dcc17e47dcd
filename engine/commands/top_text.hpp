// Styled text for a terminal, with widths measured in columns.
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

// Number of terminal columns of a UTF-8 text: two per East Asian wide character and emoji, none per combining mark.
std::size_t columns_of(std::string_view text);
std::size_t columns_of(const Line& line);

// Replaces control characters and invalid UTF-8 by '?', so that text from files cannot control the terminal.
std::string printable(std::string_view text);

// At most `columns` columns; ends with "…" if characters were removed.
std::string cut(std::string_view text, std::size_t columns);

// Exactly `columns` columns: cut, or with spaces on the right (padded) or left (right_aligned).
std::string padded(std::string_view text, std::size_t columns);
std::string right_aligned(std::string_view text, std::size_t columns);

// `left` on the left and `right` on the right of `columns` columns. If they do not fit, `left` is cut.
Line spread(Line left, Line right, std::size_t columns);

// The line as text, cut to `columns` columns; if `color`, with styles as ANSI escapes.
std::string rendered(const Line& line, std::size_t columns, bool color);

}  // namespace gpas
