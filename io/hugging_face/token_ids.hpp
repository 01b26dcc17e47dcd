// The ids of a model's special tokens, as in config.json and generation_config.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace gpas {

struct TokenIds {
    std::int64_t bos = -1, pad = -1;  // -1: the model has no such token
    std::vector<std::int64_t> eos;    // generation ends at any of these tokens; empty: the model has no EOS
    bool add_bos = false;             // each text begins with bos
    bool operator==(const TokenIds&) const = default;
};

// Reads the ids of a model in Hugging Face's format. generation_config.json overrides config.json, as in transformers;
// add_bos is add_bos_token of tokenizer_config.json. Error(bad_file) if an id is not an integer in [0, vocab_size).
TokenIds read_token_ids(const std::filesystem::path& directory, std::int64_t vocab_size);

// Convert the ids to a line of JSON, which checkpoints store (docs/formats.md), and back. parse_token_ids throws
// Error(bad_file) for any other text; `source` names the text in the message.
std::string token_ids_text(const TokenIds& ids);
TokenIds parse_token_ids(const std::string& text, const std::string& source);

}  // namespace gpas
