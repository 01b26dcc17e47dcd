#include "io/tokenizer/normalizer.hpp"

#include "io/tokenizer/code_point.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <new>

namespace gpas {
namespace {

bool ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

int utf8proc_options(NormalForm form) {
    constexpr int base = UTF8PROC_STABLE;
    switch (form) {
        case NormalForm::nfc: return base | UTF8PROC_COMPOSE;
        case NormalForm::nfd: return base | UTF8PROC_DECOMPOSE;
        case NormalForm::nfkc: return base | UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
        case NormalForm::nfkd: return base | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
    }
    return base;
}

void to_normal_form(NormalForm form, std::string& text) {
    if (ascii(text)) return;  // ASCII is unchanged in every form
    utf8proc_uint8_t* result = nullptr;
    const utf8proc_ssize_t length =
        utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), utf8proc_ssize_t(text.size()), &result,
                     utf8proc_option_t(utf8proc_options(form)));
    if (length < 0) throw std::bad_alloc();  // the only error for well-formed UTF-8
    const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(result, std::free);
    text.assign(reinterpret_cast<const char*>(result), std::size_t(length));
}

void to_lowercase(std::string& text) {
    std::string result;
    for (std::size_t at = 0; at < text.size();) {
        const std::string_view character = std::string_view(text).substr(at, character_bytes(text[at]));
        at += character.size();
        const std::uint32_t code = code_point(character);
        std::array<utf8proc_uint8_t, 4> bytes{};
        const auto lower = code == 0x130 ? 'i' : utf8proc_tolower(utf8proc_int32_t(code));
        const auto length = utf8proc_encode_char(lower, bytes.data());
        result.append(reinterpret_cast<const char*>(bytes.data()), std::size_t(length));
        if (code == 0x130) result += "\xcc\x87";  // the only character that becomes two
    }
    text = std::move(result);
}

void strip(const StripSpace& step, std::string& text) {
    if (step.left) text.erase(0, leading_space(text));
    if (step.right) text.resize(text.size() - trailing_space(text));
}

struct Apply {
    std::string& text;
    RegexScratch& scratch;
    void operator()(NormalForm form) const { to_normal_form(form, text); }
    void operator()(const PrependText& step) const {
        if (!text.empty()) text.insert(0, step.text);
    }
    void operator()(const ReplaceText& step) const { replace_text(step, text, scratch); }
    void operator()(const StripSpace& step) const { strip(step, text); }
    void operator()(const Lowercase&) const { to_lowercase(text); }
};

}  // namespace

void normalize(const std::vector<NormalizerStep>& steps, std::string& text, RegexScratch& scratch) {
    for (const NormalizerStep& step : steps) std::visit(Apply{text, scratch}, step);
}

void replace_text(const ReplaceText& step, std::string& text, RegexScratch& scratch) {
    std::string result;
    std::size_t done = 0;
    const auto replace = [&](TextSpan match) {
        result.append(text, done, match.begin - done).append(step.to);
        done = match.end;
    };
    if (step.pattern != nullptr) {
        step.pattern->for_each_match(text, scratch, replace);
    } else {
        for (std::size_t at = 0; (at = text.find(step.from, at)) != std::string::npos; at = done)
            replace({at, at + step.from.size()});
    }
    if (result.empty() && done == 0) return;
    text = result.append(text, done);
}

bool is_space(char32_t c) {
    return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

std::size_t leading_space(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t bytes = character_bytes(text[at]);
        if (!is_space(code_point(text.substr(at, bytes)))) break;
        at += bytes;
    }
    return at;
}

std::size_t trailing_space(std::string_view text) {
    std::size_t end = text.size();
    while (end > 0) {
        std::size_t begin = end - 1;
        while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
        if (!is_space(code_point(text.substr(begin, end - begin)))) break;
        end = begin;
    }
    return text.size() - end;
}

}  // namespace gpas
