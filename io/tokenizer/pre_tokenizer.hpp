// Pre-tokenizers: they cut a text into words, which the model encodes one by one.
#pragma once

#include "io/tokenizer/regex.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace gpas {

// What becomes of the matches of a pattern: removed; a piece each; part of the piece before or after; or consecutive
// matches are one piece.
enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

struct SplitByRegex {
    std::shared_ptr<const Regex> pattern;
    SplitBehavior behavior = SplitBehavior::isolated;
    bool invert = false;  // the text between the matches counts as the matches
};
// Puts `text` before each piece that does not begin with it.
struct PrefixPieces {
    std::string text;
    bool only_first = false;  // only before the piece at the beginning of the whole text
};
// Replaces spaces (U+0020).
struct ReplaceSpaces {
    std::string by;
};
// Replaces bytes by the characters of the byte-level alphabet.
struct MapBytes {};

using PreTokenizerStep = std::variant<SplitByRegex, PrefixPieces, ReplaceSpaces, MapBytes>;

// Memory of split_words(), reused by later calls. One per thread.
struct PreTokenizerScratch {
    std::string text, next_text;
    std::vector<TextSpan> pieces, next_pieces;
    RegexScratch regex;
};

// Cuts `text` (well-formed UTF-8; `first`: it begins the whole text) into words, which are never empty. Result: the text
// that the words are parts of; scratch.pieces: the words. Both are valid until `scratch` or `text` changes.
std::string_view split_words(const std::vector<PreTokenizerStep>& steps, std::string_view text, bool first,
                             PreTokenizerScratch& scratch);

}  // namespace gpas
