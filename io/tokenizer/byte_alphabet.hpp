// The byte-level alphabet of GPT-2: one printable character for each of the 256 bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gpas {

// The character of a byte, as UTF-8: 1 or 2 bytes. The byte 0x20 (space) has the character U+0120.
std::string_view byte_character(unsigned char byte);

// Appends the characters of the bytes.
void append_byte_characters(std::string_view bytes, std::string& characters);

// bytes += the bytes of the characters. Returns false, and leaves `bytes` unchanged, if a character is not in the
// alphabet.
bool append_bytes_of_characters(std::string_view characters, std::string& bytes);

}  // namespace gpas
