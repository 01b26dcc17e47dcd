// Turns text into token ids: normalizers, added tokens, pre-tokenizers, BPE.
#pragma once

#include "io/tokenizer/added_tokens.hpp"
#include "io/tokenizer/bpe_model.hpp"
#include "io/tokenizer/normalizer.hpp"
#include "io/tokenizer/pre_tokenizer.hpp"
#include "io/tokenizer/word_cache.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace gpas {

// All parts of a tokenizer that encode() uses.
struct EncoderParts {
    std::vector<AddedToken> added_tokens;
    std::vector<NormalizerStep> normalizer;
    std::vector<PreTokenizerStep> pre_tokenizer;
    BpeModel model;
};

// Immutable after construction, except for memory that later calls reuse; all members are thread-safe.
class TextEncoder {
public:
    explicit TextEncoder(EncoderParts parts);
    ~TextEncoder();

    // Appends the ids of the text. Each maximal ill-formed part of its UTF-8 is encoded as U+FFFD.
    void encode(std::string_view text, std::vector<std::int32_t>& ids) const;

private:
    struct Scratch;
    class Lease;

    void encode_section(std::string_view text, bool first, std::vector<std::int32_t>& ids, Scratch& scratch) const;
    void encode_words(std::string_view text, bool first, std::vector<std::int32_t>& ids, Scratch& scratch) const;
    void encode_word(std::string_view word, std::vector<std::int32_t>& ids, Scratch& scratch) const;

    std::vector<NormalizerStep> normalizer_;
    std::vector<PreTokenizerStep> pre_tokenizer_;
    BpeModel model_;
    AddedTokens before_;  // those sought before the normalizers
    AddedTokens after_;   // those sought after them
    mutable std::mutex mutex_;
    mutable std::vector<std::unique_ptr<Scratch>> free_;  // of calls that have ended; guarded by mutex_
};

}  // namespace gpas
