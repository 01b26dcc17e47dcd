// The patterns and special tokens of well-known tiktoken vocabularies, which their files do not contain.
#pragma once

#include "io/tokenizer/tiktoken_file.hpp"

#include <string>
#include <string_view>

namespace gpas {

// Recognises the vocabularies of Llama 3, Llama 4, Qwen, Qwen 3.6 and cl100k_base by the fingerprint of the file's bytes,
// and fills the pattern, the special tokens and the normalizer. Other files remain as they are.
void complete_known_tiktoken(std::string_view bytes, TiktokenFile& file);

// The pattern with this name: gpt2, cl100k_base, o200k_base, llama3, llama4, qwen, qwen3.6. nullptr: unknown name.
const char* tiktoken_pattern(std::string_view name);

}  // namespace gpas
