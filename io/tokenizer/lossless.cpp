#include "io/tokenizer/lossless.hpp"

#include <algorithm>
#include <array>
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

}  // namespace

bool keeps_test_texts(const Tokenizer& tokenizer) {
    return std::all_of(texts.begin(), texts.end(),
                       [&](std::string_view text) { return tokenizer.decode(tokenizer.encode(text)) == text; });
}

}  // namespace gpas
