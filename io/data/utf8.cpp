#include "io/data/utf8.hpp"

#include <algorithm>
#include <cstring>

namespace gpas {
namespace {

struct Step {
    std::size_t bytes;  // of a character, or of the maximal ill-formed part
    bool valid;
};

// Table 3-7 of the Unicode standard: the lead byte fixes the length and the range of the second byte.
Step step(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(at);
    if (lead < 0x80) return {1, true};
    if (lead < 0xc2 || lead > 0xf4) return {1, false};
    const std::size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    unsigned char low = 0x80, high = 0xbf;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
    for (std::size_t i = 1; i < length; ++i) {
        if (at + i >= text.size() || byte(at + i) < low || byte(at + i) > high) return {i, false};
        low = 0x80;
        high = 0xbf;
    }
    return {length, true};
}

}  // namespace

std::size_t valid_utf8_prefix(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
        while (at + 8 <= text.size()) {  // eight ASCII bytes at a time
            std::uint64_t word;
            std::memcpy(&word, text.data() + at, 8);
            if ((word & 0x8080808080808080u) != 0) break;
            at += 8;
        }
        if (at == text.size()) break;
        const Step next = step(text, at);
        if (!next.valid) return at;
        at += next.bytes;
    }
    return at;
}

std::string repair_utf8(std::string_view text, std::int64_t& replaced) {
    std::string result;
    while (!text.empty()) {
        const std::size_t good = valid_utf8_prefix(text);
        result.append(text.substr(0, good));
        text.remove_prefix(good);
        if (text.empty()) break;
        text.remove_prefix(step(text, 0).bytes);
        result += "\xef\xbf\xbd";
        ++replaced;
    }
    return result;
}

std::string_view well_formed(std::string_view text, std::string& storage) {
    if (valid_utf8_prefix(text) == text.size()) return text;
    std::int64_t replaced = 0;
    storage = repair_utf8(text, replaced);
    return storage;
}

std::string well_formed(std::string text) {
    std::int64_t replaced = 0;
    return valid_utf8_prefix(text) == text.size() ? text : repair_utf8(text, replaced);
}

}  // namespace gpas
