// The special tokens of a model: their ids in config.json and generation_config.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace gpas {

struct TokenIds {
    std::int64_t bos = -1, pad = -1;  // -1: none
    std::vector<std::int64_t> eos;    // several if generation ends at any of them; empty: none
    bool add_bos = false;             // each text begins with bos
    bool operator==(const TokenIds&) const = default;
};

// Of an imported model: generation_config.json goes before config.json, as in transformers; add_bos is
// add_bos_token of tokenizer_config.json. Error(bad_file): an id that is not a whole number below vocab_size.
TokenIds read_token_ids(const std::filesystem::path& directory, std::int64_t vocab_size);

// As a line of JSON, which checkpoints carry (docs/formats.md), and back. Error(bad_file): other text; source is for
// this error.
std::string token_ids_text(const TokenIds& ids);
TokenIds parse_token_ids(const std::string& text, const std::string& source);

}  // namespace gpas
