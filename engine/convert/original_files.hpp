// The files of an imported model that do not hold weights: its tokenizer, chat template and generation settings. An
// import carries them unchanged, and an export of the model writes them back. Internal to engine/convert.
#pragma once

#include "io/data/tokenizer.hpp"

#include <filesystem>

namespace gpas {

// Copies those of the files that `from` contains: tokenizer.json, tokenizer.model, sentencepiece.model, tekken.json,
// tokenizer_config.json, special_tokens_map.json, added_tokens.json, generation_config.json, chat_template.jinja.
// Error(environment).
void copy_original_files(const std::filesystem::path& from, const std::filesystem::path& to);

// Whether the files in a directory are all that AutoTokenizer of transformers needs for a tokenizer of this kind.
bool are_original_files(const std::filesystem::path& directory, TokenizerKind kind);

}  // namespace gpas
