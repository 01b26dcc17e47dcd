#include "io/tokenizer/lossless.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace gpas {
namespace {

constexpr std::array<std::string_view, 8> texts{"The cat.",
                                                " a  b ",
                                                "\n\n x\n",
                                                "\ta\r\n",
                                                "e\xcc\x81 \xc3\xa9 \xef\xbc\xa1 \xef\xac\x81 \xe2\x96\x81 \xc4\xa0",
                                                "\xc2\xa0\xe3\x80\x80 \xe2\x80\x8b",
                                                "\x01\x7f \xf0\x9f\x99\x82\xe2\x81\x87",
                                                "<0x41> 12345 \xf4\x8f\xbf\xbf  "};

// All characters of one and two bytes, and one character with each first byte of longer ones: all bytes of UTF-8.
std::string all_bytes() {
    std::string text;
    for (int c = 0; c < 0x80; ++c) text += char(c);
    for (int c = 0x80; c < 0x800; ++c) text += {char(0xc0 | c >> 6), char(0x80 | (c & 0x3f))};
    for (int first = 0xe0; first < 0xf0; ++first) text += {char(first), char(first == 0xe0 ? 0xa0 : 0x80), char(0x80)};
    for (int first = 0xf0; first < 0xf5; ++first)
        text += {char(first), char(first == 0xf0 ? 0x90 : 0x80), char(0x80), char(0x80)};
    return text;
}

}  // namespace

bool keeps_test_texts(const Tokenizer& tokenizer) {
    const auto keeps = [&](std::string_view text) { return tokenizer.decode(tokenizer.encode(text)) == text; };
    return std::all_of(texts.begin(), texts.end(), keeps) && keeps(all_bytes());
}

}  // namespace gpas
