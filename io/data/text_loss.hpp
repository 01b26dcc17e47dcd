// Counts the text that tokenization loses: <unk>, and characters that normalisation drops or changes.
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
    std::int64_t characters = 0;       // of the text
    std::int64_t lost_characters = 0;  // of these: not in the text of the tokens

    void add(const TextLoss& other);
};

class LossMeter {
public:
    explicit LossMeter(const Tokenizer& tokenizer);

    // Memory that calls reuse; one per thread.
    class Counts {
    public:
        void add(std::string_view text, std::int32_t sign);
        std::int64_t take_surplus();  // the sum of the positive counts; all become 0

    private:
        std::vector<std::int32_t> common_ = std::vector<std::int32_t>(1 << 16);  // by code point
        std::vector<std::uint32_t> touched_;
        std::unordered_map<std::uint32_t, std::int32_t> rare_;
    };

    // `ids` are those of `text`, which is well-formed. Characters are compared by number, not by place: a character is
    // lost if the text has more of them than its tokens. Safe from many threads.
    TextLoss measure(std::string_view text, std::span<const std::int32_t> ids, Counts& counts) const;

private:
    const Tokenizer& tokenizer_;
    std::vector<std::string> piece_texts_;  // empty if the tokenizer is lossless
};

}  // namespace gpas
