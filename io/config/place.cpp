#include "io/config/place.hpp"

#include "base/error.hpp"

#include <fmt/format.h>

namespace gpas {

std::string to_string(const ConfigPlace& place) {
    if (place.line == 0) return place.origin;
    return fmt::format("{}:{}:{}", place.origin, place.line, place.column);
}

std::string on_one_line(std::string_view text) {
    std::string line;
    for (const char c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            line += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
        } else {
            line += c;
        }
    }
    return line;
}

std::string message_head(const ConfigPlace& place, std::string_view key) {
    if (key.empty() || place.origin.starts_with(fmt::format("command line: {}=", key))) return to_string(place) + ": ";
    const bool plain = key.size() <= 60 && key.find(' ') == std::string_view::npos && on_one_line(key) == key;
    return fmt::format("{}: {}: ", to_string(place), plain ? std::string(key) : quote_found(key));
}

std::string quote_found(std::string_view text) {
    constexpr std::size_t longest = 60;
    return fmt::format("'{}{}'", on_one_line(text.substr(0, longest)), text.size() > longest ? "..." : "");
}

}  // namespace gpas
