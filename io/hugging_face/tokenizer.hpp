// The files of an exported tokenizer, with which transformers gives the same ids as Tokenizer::encode. A tokenizer.json
// is copied. Tokenizers of all other kinds are converted to a tokenizer.json.
#pragma once

#include "io/data/tokenizer.hpp"
#include "io/hugging_face/token_ids.hpp"

#include <string>
#include <vector>

namespace gpas {

struct ExportedTokenizer {
    std::string json;    // tokenizer.json that is derived from a tokenizer of another kind; empty: model_file is it
    std::string config;  // tokenizer_config.json
    // Name for the copy of the tokenizer's file; empty: no copy. llama.cpp reads a SentencePiece file with the name
    // tokenizer.model: this name if llama.cpp then gives the same ids as in training, else sentencepiece.model.
    std::string model_file;
    std::vector<std::string> notes;  // lines for the user: which reader gives other ids for which text, and why
};

// ids: the special tokens used in training; max_length: model_max_length. As in training, the converted tokenizers
// encode no text as a special token (split_special_tokens). Error(usage) if a tokenizer has settings or tokens that
// tokenizer.json cannot express.
ExportedTokenizer export_tokenizer(const Tokenizer& tokenizer, const TokenIds& ids, std::int64_t max_length);

// Lines for the user about the unchanged files of a tokenizer, as ExportedTokenizer::notes.
std::vector<std::string> notes_of_copy(const Tokenizer& tokenizer, const TokenIds& ids);

}  // namespace gpas
