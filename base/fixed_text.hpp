// Texts in char arrays of fixed size, for plain data that other processes read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

namespace gpas {

// to = text, cut to n - 1 bytes, with a terminating zero.
template <std::size_t n>
void copy_text(char (&to)[n], std::string_view text) {
    const std::size_t length = std::min(text.size(), n - 1);
    std::memcpy(to, text.data(), length);
    to[length] = '\0';
}

// The text up to the first zero, or of n bytes if there is no zero: never reads beyond the array, even if another
// process writes it at the same time.
template <std::size_t n>
std::string text_in(const char (&from)[n]) {
    return std::string(from, strnlen(from, n));
}

}  // namespace gpas
