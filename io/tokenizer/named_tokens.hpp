// The special tokens that the files in the directory of a tokenizer.json name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace gpas {

// A token by its text or by its id. Without both: the files name no such token.
struct NamedToken {
    std::string text;
    std::int32_t id = -1;
    std::string place;  // "FILE: eos_token", for messages
};

struct NamedTokens {
    NamedToken bos, eos, pad;
};

// Reads bos_token, eos_token and pad_token of tokenizer_config.json and special_tokens_map.json, and the ids of
// generation_config.json; the first of these files that names a token counts. If eos_token_id is a list, its first id
// counts. A missing file is not an error. Error(bad_file), one line, if a file is not a JSON object, or a token has
// neither text nor id.
NamedTokens read_named_tokens(const std::filesystem::path& directory);

}  // namespace gpas
