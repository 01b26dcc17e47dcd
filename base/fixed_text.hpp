// Texts of a fixed size, in plain data that other processes read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

namespace gpas {

// to = text, cut where it is longer.
template <std::size_t n>
void copy_text(char (&to)[n], std::string_view text) {
    const std::size_t length = std::min(text.size(), n - 1);
    std::memcpy(to, text.data(), length);
    to[length] = '\0';
}

template <std::size_t n>
std::string text_in(const char (&from)[n]) {
    return std::string(from, strnlen(from, n));
}

}  // namespace gpas
