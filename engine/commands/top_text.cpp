#include "engine/commands/top_text.hpp"

#include <algorithm>

namespace gpas {
namespace {

struct Character {
    char32_t code = 0;  // 0: invalid UTF-8
    std::size_t bytes = 1;
};

// The character that starts at byte `at`.
Character character(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
    const unsigned char first = byte(0);
    if (first < 0x80) return {first, 1};
    const std::size_t bytes = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || at + bytes > text.size()) return {};
    char32_t code = first & (0xFFu >> (bytes + 1));
    for (std::size_t i = 1; i < bytes; ++i) {
        if ((byte(i) & 0xC0) != 0x80) return {};
        code = (code << 6) | (byte(i) & 0x3Fu);
    }
    const bool too_long = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
    if (too_long || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return {};
    return {code, bytes};
}

bool is_control(char32_t c) {
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
           (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
}

// Width of a character, approximated by whole Unicode blocks.
std::size_t columns_of_code(char32_t c) {
    if (c >= 0x300 && c < 0x370) return 0;
    const bool wide = (c >= 0x1100 && c < 0x1160) || (c >= 0x2E80 && c < 0xA4D0) || (c >= 0xAC00 && c < 0xD7A4) ||
                      (c >= 0xF900 && c < 0xFB00) || (c >= 0xFE30 && c < 0xFE70) || (c >= 0xFF00 && c < 0xFF61) ||
                      (c >= 0x1F300 && c < 0x1FB00) || (c >= 0x20000 && c < 0x40000);
    return wide ? 2 : 1;
}

const char* escape_of(Style style) {
    switch (style) {
        case Style::plain: return "";
        case Style::strong: return "\x1b[1m";
        case Style::faint: return "\x1b[2m";
        case Style::good: return "\x1b[32m";
        case Style::warning: return "\x1b[33m";
        case Style::bad: return "\x1b[1;31m";
        case Style::accent: return "\x1b[36m";
    }
    return "";
}

}  // namespace

std::size_t columns_of(std::string_view text) {
    std::size_t columns = 0;
    for (std::size_t at = 0; at < text.size();) {
        const Character c = character(text, at);
        columns += columns_of_code(c.code);
        at += c.bytes;
    }
    return columns;
}

std::size_t columns_of(const Line& line) {
    std::size_t columns = 0;
    for (const Span& span : line) columns += columns_of(span.text);
    return columns;
}

std::string printable(std::string_view text) {
    std::string result;
    for (std::size_t at = 0; at < text.size();) {
        const Character c = character(text, at);
        if (!is_control(c.code))
            result += text.substr(at, c.bytes);
        else
            result += '?';
        at += c.bytes;
    }
    return result;
}

std::string cut(std::string_view text, std::size_t columns) {
    if (columns_of(text) <= columns) return std::string(text);
    if (columns == 0) return "";
    std::size_t at = 0;
    for (std::size_t used = 0; at < text.size();) {
        const Character c = character(text, at);
        used += columns_of_code(c.code);
        if (used > columns - 1) break;
        at += c.bytes;
    }
    return std::string(text.substr(0, at)) + "…";
}

std::string padded(std::string_view text, std::size_t columns) {
    std::string result = cut(text, columns);
    result.append(columns - columns_of(result), ' ');
    return result;
}

std::string right_aligned(std::string_view text, std::size_t columns) {
    const std::string shown = cut(text, columns);
    return std::string(columns - columns_of(shown), ' ') + shown;
}

Line spread(Line left, Line right, std::size_t columns) {
    const std::size_t taken = std::min(columns, columns_of(right));
    std::size_t room = columns - taken;
    if (taken > 0 && room > 0) --room;  // a space between them
    Line line;
    for (Span& span : left) {
        const std::size_t wanted = columns_of(span.text);
        line.push_back({cut(span.text, room), span.style});
        room -= std::min(room, wanted);
        if (room == 0) break;
    }
    const std::size_t used = columns_of(line) + taken;
    if (used < columns) line.push_back({std::string(columns - used, ' ')});
    line.insert(line.end(), right.begin(), right.end());
    return line;
}

std::string rendered(const Line& line, std::size_t columns, bool color) {
    std::string result;
    std::size_t room = columns;
    for (const Span& span : line) {
        const std::string shown = cut(span.text, room);
        room -= std::min(room, columns_of(span.text));
        const bool styled = color && span.style != Style::plain && !shown.empty();
        if (styled) result += escape_of(span.style);
        result += shown;
        if (styled) result += "\x1b[0m";
        if (room == 0) break;
    }
    // Trailing spaces are invisible and a nuisance when text is copied.
    const std::size_t last = result.find_last_not_of(' ');
    result.resize(last == std::string::npos ? 0 : last + 1);
    return result;
}

}  // namespace gpas
