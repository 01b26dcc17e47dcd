// Normalizers of tokenizer.json: they change a text before it is cut into words.
#pragma once

#include "io/tokenizer/regex.hpp"

#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace gpas {

enum class NormalForm { nfc, nfd, nfkc, nfkd };

struct PrependText {
    std::string text;
};
struct ReplaceText {
    std::string from;  // used if `pattern` is null; not empty
    std::shared_ptr<const Regex> pattern;
    std::string to;
};
struct StripSpace {
    bool left = false, right = false;
};
struct Lowercase {};

using NormalizerStep = std::variant<NormalForm, PrependText, ReplaceText, StripSpace, Lowercase>;

// Applies the steps in order. text: in and out, well-formed UTF-8. Thread-safe if each thread has its own `scratch`.
void normalize(const std::vector<NormalizerStep>& steps, std::string& text, RegexScratch& scratch);

// Replaces every occurrence of step.from, or every match of step.pattern, in `text`.
void replace_text(const ReplaceText& step, std::string& text, RegexScratch& scratch);

// Whether the character is white space (the Unicode property White_Space).
bool is_space(char32_t character);
// The length in bytes of the white space at the beginning and at the end of the text.
std::size_t leading_space(std::string_view text);
std::size_t trailing_space(std::string_view text);

}  // namespace gpas
