// Converts the vocabularies of tiktoken to tokenizer.json, the format of Hugging Face.
#pragma once

#include "io/data/tokenizer.hpp"

#include <cstdint>
#include <string>

namespace gpas {

// The text of a tokenizer.json that gives the ids of the tokenizer, whose kind is tekken or tiktoken. Special tokens
// become added tokens. Each text begins with the token `bos`, unless it is -1. Error(usage), one line, if a special
// token is spelled as another token, which tokenizer.json cannot express.
std::string tiktoken_as_json(const Tokenizer& tokenizer, std::int32_t bos = -1);

// The same for the bytes of a tiktoken file, with `pattern`: a name of known_tiktoken.hpp or a regular expression of
// tiktoken. If no special tokens of the file are known, it gets <|endoftext|> with the lowest id that the file does
// not use. `name`: for messages. Error(bad_file), one line, if the file is damaged or the pattern has an error;
// Error(usage) if the file is not a tiktoken file.
std::string tiktoken_as_json(const std::string& bytes, const std::string& name, const std::string& pattern);

}  // namespace gpas
