// Counts the text that tokenisation loses: <unk> tokens, and characters that normalisation drops or changes.
#pragma once

#include "io/data/tokenizer.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace gpas {

struct TextLoss {
    std::int64_t unknown_tokens = 0;
    std::int64_t characters = 0;       // all characters of the text
    std::int64_t lost_characters = 0;  // those that the text of the tokens does not contain

    void add(const TextLoss& other);
};

class LossMeter {
public:
    explicit LossMeter(const Tokenizer& tokenizer);

    // Scratch memory for measure(), reused between calls. Each thread needs its own.
    class Counts {
    public:
        void add(std::string_view text, std::int32_t sign);
        std::int64_t take_surplus();  // the sum of the positive counts; all become 0

    private:
        std::vector<std::int32_t> common_ = std::vector<std::int32_t>(1 << 16);  // by code point
        std::vector<std::uint32_t> touched_;
        std::unordered_map<std::uint32_t, std::int32_t> rare_;
    };

    // `ids`: the tokens of `text`, which must be well-formed UTF-8. Compares how often each character occurs, not
    // where: occurrences that `text` has in excess of the tokens' text are lost. Thread-safe.
    TextLoss measure(std::string_view text, std::span<const std::int32_t> ids, Counts& counts) const;

private:
    const Tokenizer& tokenizer_;
    std::vector<std::string> piece_texts_;  // empty if the tokenizer is lossless
};

}  // namespace gpas
