// Regular expressions of tokenizer files, by Oniguruma, the engine that Hugging Face's tokenizers uses.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

struct re_pattern_buffer;
struct re_registers;

namespace gpas {

// A range of bytes of a text.
struct TextSpan {
    std::size_t begin = 0;
    std::size_t end = 0;
};

// Memory of a search, reused by later searches. Not thread-safe: one per thread.
class RegexScratch {
public:
    RegexScratch();  // std::bad_alloc
    re_registers* get() const { return registers_.get(); }

private:
    std::unique_ptr<re_registers, void (*)(re_registers*)> registers_;
};

// The two languages differ in few places: in tiktoken's, {n,m}+ is possessive and $ matches only at the end of a text.
enum class RegexDialect { hugging_face, tiktoken };

// Immutable after construction; thread-safe if each thread has its own RegexScratch.
class Regex {
public:
    // Error(bad_file), "WHERE: regular expression PATTERN: REASON", if the pattern has an error.
    Regex(const std::string& pattern, RegexDialect dialect, const std::string& where);

    // match = the first match that begins at byte `from` or later; false if no match is found. `text` is well-formed
    // UTF-8. Error(bad_file) if the search exceeds Oniguruma's limits.
    bool search(std::string_view text, std::size_t from, TextSpan& match, RegexScratch& scratch) const;

    // visit(TextSpan) for each match, from left to right. Ignores an empty match at the end of the match before it.
    template <class Visit>
    void for_each_match(std::string_view text, RegexScratch& scratch, const Visit& visit) const {
        std::size_t from = 0, last = std::string_view::npos;
        TextSpan match;
        while (from <= text.size() && search(text, from, match, scratch)) {
            if (match.begin == match.end && match.end == last) {
                ++from;
                while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xc0) == 0x80) ++from;
                continue;
            }
            from = last = match.end;
            visit(match);
        }
    }

    // A pattern that matches exactly `text`.
    static std::string escaped(std::string_view text);

private:
    std::string where_;
    std::shared_ptr<re_pattern_buffer> regex_;
};

}  // namespace gpas
