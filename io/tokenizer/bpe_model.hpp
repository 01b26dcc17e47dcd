// Byte-pair encoding of one word: the exact ids of Hugging Face's BPE model and of tiktoken.
#pragma once

#include "io/tokenizer/merge_table.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace gpas {

struct BpeOptions {
    // true: words are bytes, and each byte is a token. false: words are UTF-8, and each character is a token, if the
    // vocabulary contains it.
    bool bytes = false;
    bool ignore_merges = false;  // a word that is a token is this token, regardless of the merges
    bool byte_fallback = false;  // an unknown character is encoded as the tokens <0x00> ... <0xFF> of its bytes
    bool fuse_unk = false;       // consecutive unknown characters are one <unk>
    std::int32_t unk_id = -1;    // -1: unknown characters are dropped
};

// Memory of encode(), reused by later calls. One per thread.
struct BpeScratch {
    struct Candidate {
        std::int32_t rank, position, id;
    };
    std::vector<std::int32_t> symbols, next, previous;
    std::vector<Merge> merges;
    std::vector<Candidate> heap;
};

// Lets a std::string_view find a key of type std::string.
struct TokenHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view token) const { return std::hash<std::string_view>()(token); }
};

// Immutable after construction; thread-safe if each thread has its own BpeScratch.
class BpeModel {
public:
    using Vocabulary = std::unordered_map<std::string, std::int32_t, TokenHash, std::equal_to<>>;

    // `vocabulary`: token to id; the keys are bytes or UTF-8 (see BpeOptions::bytes). With options.bytes, it contains
    // all 256 bytes.
    BpeModel(Vocabulary vocabulary, MergeTable merges, const BpeOptions& options);

    // Appends the ids of a word.
    void encode(std::string_view word, std::vector<std::int32_t>& ids, BpeScratch& scratch) const;

private:
    void split_bytes(std::string_view word, std::vector<std::int32_t>& symbols) const;
    void split_characters(std::string_view word, std::vector<std::int32_t>& symbols) const;
    bool fall_back_to_bytes(std::string_view character, std::vector<std::int32_t>& symbols) const;
    std::int32_t find(std::string_view token) const;  // -1: not in the vocabulary
    void merge_short(BpeScratch& scratch) const;
    void merge_long(BpeScratch& scratch) const;

    Vocabulary vocabulary_;
    MergeTable merges_;
    BpeOptions options_;
    std::array<std::int32_t, 256> byte_ids_{};  // of the bytes, or of <0x00> ... <0xFF>; -1: none
    std::vector<std::int32_t> character_ids_;   // by code point; -1: not in the vocabulary
};

}  // namespace gpas
