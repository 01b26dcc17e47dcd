#include "io/config/place.hpp"

#include <fmt/format.h>

namespace gpas {

std::string to_string(const Place& place) {
    if (place.line == 0) return place.origin;
    return fmt::format("{}:{}:{}", place.origin, place.line, place.column);
}

std::string message_head(const Place& place, std::string_view key) {
    if (key.empty() || place.origin.starts_with(fmt::format("command line: {}=", key))) return to_string(place) + ": ";
    return fmt::format("{}: {}: ", to_string(place), key);
}

std::string quote_found(std::string_view text) {
    constexpr std::size_t longest = 60;
    std::string quoted = "'";
    for (const char c : text.substr(0, longest)) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            quoted += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
        } else {
            quoted += c;
        }
    }
    return quoted + (text.size() > longest ? "...'" : "'");
}

}  // namespace gpas
