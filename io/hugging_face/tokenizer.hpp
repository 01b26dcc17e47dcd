// The files of an exported tokenizer, with which transformers gives the same ids as Tokenizer::encode. A SentencePiece
// model is converted to the format of Hugging Face's tokenizers (tokenizer.json). Other files are copied.
#pragma once

#include "io/data/tokenizer.hpp"
#include "io/hugging_face/token_ids.hpp"

#include <string>
#include <vector>

namespace gpas {

struct ExportedTokenizer {
    std::string json;    // tokenizer.json that is derived from a SentencePiece model; empty for other kinds
    std::string config;  // tokenizer_config.json; empty: the export has no such file
    // Name for the copy of the tokenizer's file. llama.cpp reads a SentencePiece file with the name tokenizer.model: this
    // name if llama.cpp then gives the same ids as in training, else sentencepiece.model.
    std::string model_file;
    std::vector<std::string> notes;  // lines for the user: which reader gives other ids for which text, and why
};

// ids: the special tokens used in training; max_length: model_max_length. As in training, a
// SentencePiece model encodes no text as a special token (split_special_tokens). Error(usage) if a SentencePiece model
// has settings that tokenizer.json cannot express.
ExportedTokenizer export_tokenizer(const Tokenizer& tokenizer, const TokenIds& ids, std::int64_t max_length);

}  // namespace gpas
