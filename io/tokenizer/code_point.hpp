// Characters of well-formed UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gpas {

// The number of bytes of the character that begins with this byte.
inline std::size_t character_bytes(char lead) {
    const auto byte = static_cast<unsigned char>(lead);
    return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

// The code point of a text of one character.
inline std::uint32_t code_point(std::string_view character) {
    const auto low = [&](std::size_t i) { return std::uint32_t(static_cast<unsigned char>(character[i]) & 0x3f); };
    const auto lead = std::uint32_t(static_cast<unsigned char>(character[0]));
    switch (character.size()) {
        case 1: return lead;
        case 2: return (lead & 0x1f) << 6 | low(1);
        case 3: return (lead & 0x0f) << 12 | low(1) << 6 | low(2);
        default: return (lead & 0x07) << 18 | low(1) << 12 | low(2) << 6 | low(3);
    }
}

}  // namespace gpas
