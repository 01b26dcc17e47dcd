#include "io/tokenizer/byte_alphabet.hpp"

#include <array>

namespace gpas {
namespace {

constexpr int code_points = 324;  // of the alphabet: all are below U+0144

struct Alphabet {
    std::array<std::array<char, 2>, 256> characters{};
    std::array<std::uint8_t, 256> lengths{};
    std::array<std::int16_t, code_points> bytes{};  // -1: not in the alphabet
};

constexpr bool printable(int byte) {
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

constexpr Alphabet make_alphabet() {
    Alphabet alphabet;
    for (auto& byte : alphabet.bytes) byte = -1;
    int next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
        const int code = printable(byte) ? byte : next++;
        alphabet.bytes[std::size_t(code)] = std::int16_t(byte);
        alphabet.lengths[std::size_t(byte)] = code < 0x80 ? 1 : 2;
        if (code < 0x80) {
            alphabet.characters[std::size_t(byte)] = {char(code), '\0'};
        } else {
            alphabet.characters[std::size_t(byte)] = {char(0xc0 | code >> 6), char(0x80 | (code & 0x3f))};
        }
    }
    return alphabet;
}

constexpr Alphabet alphabet = make_alphabet();

}  // namespace

std::string_view byte_character(unsigned char byte) {
    return {alphabet.characters[byte].data(), alphabet.lengths[byte]};
}

void append_byte_characters(std::string_view bytes, std::string& characters) {
    for (const char byte : bytes) characters.append(byte_character(static_cast<unsigned char>(byte)));
}

bool append_bytes_of_characters(std::string_view characters, std::string& bytes) {
    const std::size_t before = bytes.size();
    for (std::size_t i = 0; i < characters.size(); ++i) {
        int code = static_cast<unsigned char>(characters[i]);
        if (code >= 0xc0 && code < 0xe0 && i + 1 < characters.size()) {
            code = (code & 0x1f) << 6 | (static_cast<unsigned char>(characters[++i]) & 0x3f);
        } else if (code >= 0x80) {
            code = code_points;
        }
        const int byte = code < code_points ? alphabet.bytes[std::size_t(code)] : -1;
        if (byte < 0) {
            bytes.resize(before);
            return false;
        }
        bytes += char(byte);
    }
    return true;
}

}  // namespace gpas
