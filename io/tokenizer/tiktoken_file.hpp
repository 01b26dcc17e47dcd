// Reads the vocabularies of tiktoken: files of "BASE64 RANK" lines, and Mistral's tekken.json.
#pragma once

#include "io/tokenizer/normalizer.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gpas {

// A vocabulary of bytes with the pattern that cuts texts into words.
struct TiktokenFile {
    std::vector<std::pair<std::string, std::int32_t>> tokens;   // bytes and id; lower ids merge first
    std::vector<std::pair<std::string, std::int32_t>> special;  // text and id; never found in a text
    std::string pattern;                                        // empty: unknown
    std::vector<NormalizerStep> normalizer;
};

// The bytes of base64 text. Returns false if the text is not base64.
bool decode_base64(std::string_view text, std::string& bytes);

// Error(bad_file), one line, with the line's number, if a line is damaged. For known files (known_tiktoken.hpp), the
// result has their pattern and special tokens.
TiktokenFile read_tiktoken(const std::string& bytes, const std::string& name);

// A tekken.json. Special tokens have the lowest ids. Error(bad_file), one line, if the file is damaged.
TiktokenFile read_tekken(const std::string& json, const std::string& name);

}  // namespace gpas
