#include "io/hugging_face/normalization.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdint>

namespace gpas {
namespace {

using json = nlohmann::ordered_json;

// Characters that canonical compositions begin with (Unicode 15), and characters between them that normalisation rules
// leave alone.
constexpr const char* composing =
    "\\x{3C}-\\x{7A}\\x{C2}-\\x{113}\\x{14C}-\\x{16B}\\x{1A0}-\\x{1B7}\\x{1EA}-\\x{1EB}\\x{226}-\\x{22F}"
    "\\x{292}-\\x{292}\\x{391}-\\x{3CE}\\x{406}-\\x{475}\\x{4D8}-\\x{4E9}\\x{627}-\\x{64A}"
    "\\x{6C1}-\\x{6D5}\\x{928}-\\x{933}\\x{9C7}-\\x{9C7}\\x{B47}-\\x{B47}\\x{B92}-\\x{B92}"
    "\\x{BC6}-\\x{BC7}\\x{C46}-\\x{C46}\\x{CBF}-\\x{CCA}\\x{D46}-\\x{D47}\\x{DD9}-\\x{DDC}"
    "\\x{1025}-\\x{1025}\\x{1B05}-\\x{1B11}\\x{1B3A}-\\x{1B42}\\x{1E36}-\\x{1E63}\\x{1EA0}-\\x{1ECD}"
    "\\x{1F00}-\\x{1F70}\\x{1F74}-\\x{1F74}\\x{1F7C}-\\x{1F7C}\\x{1FB6}-\\x{1FB6}\\x{1FC6}-\\x{1FC6}"
    "\\x{1FF6}-\\x{1FF6}\\x{2190}-\\x{2194}\\x{21D0}-\\x{21D4}\\x{2203}-\\x{2225}\\x{223C}-\\x{22B5}"
    "\\x{3046}-\\x{307B}\\x{309D}-\\x{309D}\\x{30A6}-\\x{30FD}";
constexpr const char* marks = "\\p{M}\\x{200C}\\x{200D}";

// A noncharacter, which no text has.
constexpr const char* boundary = "\uFDD0";

std::string base64(std::string_view bytes) {
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const auto byte = [&](std::size_t k) { return k < bytes.size() ? std::uint8_t(bytes[k]) : 0U; };
        const std::uint32_t word = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
        for (int k = 0; k < 4; ++k) text += i + std::size_t(k) > bytes.size() ? '=' : digits[word >> (18 - 6 * k) & 63];
    }
    return text;
}

json replacement(const char* kind, const std::string& pattern, const std::string& content) {
    return {{"type", "Replace"}, {"pattern", {{kind, pattern}}}, {"content", content}};
}

}  // namespace

// The tokenizers library replaces a character together with its marks if a rule is for the character alone;
// SentencePiece keeps the marks. So a boundary stands before each mark, except for the first mark of a character that
// it may be composed with. The second pass composes what the first one made.
json normalization_steps(std::string_view charsmap, const std::string& rules) {
    const std::string before_mark = fmt::format("(?=[{}])", marks);
    const std::string between = fmt::format("(?<=[^{}]){}|(?<=\\r)(?=\\n)", composing, before_mark);
    const std::string capital = fmt::format("(?<=[\\p{{Lu}}\\p{{Lt}}]){}|", before_mark);  // becomes another letter
    json steps = json::array();
    for (const bool first : {true, false}) {
        steps.push_back(replacement("Regex", first && rules.ends_with("_cf") ? capital + between : between, boundary));
        steps.push_back({{"type", "Precompiled"}, {"precompiled_charsmap", base64(charsmap)}});
        steps.push_back(replacement("String", boundary, ""));
    }
    return steps;
}

}  // namespace gpas
