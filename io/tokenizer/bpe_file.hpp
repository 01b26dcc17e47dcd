// Reads the vocabulary, the merges and the added tokens of a tokenizer.json.
#pragma once

#include "io/tokenizer/added_tokens.hpp"
#include "io/tokenizer/bpe_model.hpp"
#include "io/tokenizer/json_node.hpp"

#include <string>
#include <vector>

namespace gpas {

// One more than the largest id that a tokenizer may have.
inline constexpr std::int64_t most_tokens = 1 << 24;

// The "model" of a tokenizer.json, which must be of type BPE. Error(bad_file), one line, for another type, dropout,
// prefixes and suffixes of words, an id twice, and merges of tokens that are not in the vocabulary.
struct BpeFile {
    explicit BpeFile(const JsonNode& model);

    BpeModel::Vocabulary vocabulary;  // as the file spells the tokens
    std::vector<std::string> pieces;  // by id; empty for ids without a token
    MergeTable merges;
    BpeOptions options;  // `bytes` is false
};

// The "added_tokens". pieces[id] = the token; `pieces` grows. Error(bad_file) for an id that Hugging Face's tokenizers
// would not give the token, and for an empty token.
std::vector<AddedToken> read_added_tokens(const JsonNode& list, const BpeModel::Vocabulary& vocabulary,
                                          std::vector<std::string>& pieces);

}  // namespace gpas
