#include "io/hugging_face/normalization.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdint>

namespace gpas {
namespace {

// The first characters of canonical compositions (Unicode 15). The ranges also include characters between these that
// normalisation rules do not change.
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

// Unicode noncharacters, which do not occur in text.
constexpr const char* boundary = "\uFDD1";
constexpr const char* first_pass_boundary = "\uFDD0";

std::string base64_text(std::string_view bytes) {
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const auto byte = [&](std::size_t k) { return k < bytes.size() ? std::uint8_t(bytes[k]) : 0U; };
        const std::uint32_t word = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
        for (int k = 0; k < 4; ++k) text += i + std::size_t(k) > bytes.size() ? '=' : digits[word >> (18 - 6 * k) & 63];
    }
    return text;
}

}  // namespace

nlohmann::ordered_json replacement_step(const char* kind, const std::string& pattern, const std::string& content) {
    return {{"type", "Replace"}, {"pattern", {{kind, pattern}}}, {"content", content}};
}

// If a rule matches a character without its marks, the tokenizers library replaces the character together with its
// marks, but SentencePiece keeps the marks. So these steps insert a boundary before each mark that cannot be composed
// with its character. In the first pass they also insert a boundary between marks and, if the rules fold case, after
// capital letters. The second pass composes the results of the first pass.
nlohmann::ordered_json normalization_steps(std::string_view charsmap, const std::string& rules) {
    const std::string before_mark = fmt::format("(?=[{}])", marks);
    const nlohmann::ordered_json pass{{"type", "Precompiled"}, {"precompiled_charsmap", base64_text(charsmap)}};
    const char* first = rules.ends_with("_cf") ? "\\p{M}\\p{Lu}\\p{Lt}" : "\\p{M}";
    return nlohmann::ordered_json::array(
        {replacement_step("Regex", fmt::format("(?<=[^{}\\p{{M}}]){}|(?<=\\r)(?=\\n)", composing, before_mark),
                          boundary),
         replacement_step("Regex", fmt::format("(?<=[{}]){}", first, before_mark), first_pass_boundary), pass,
         replacement_step("String", first_pass_boundary, ""), pass, replacement_step("String", boundary, "")});
}

}  // namespace gpas
