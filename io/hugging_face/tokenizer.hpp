// A SentencePiece model in the format of Hugging Face's tokenizers (tokenizer.json), such that transformers gives the
// ids that Tokenizer::encode gives.
#pragma once

#include "io/data/tokenizer.hpp"
#include "io/hugging_face/token_ids.hpp"

#include <string>
#include <vector>

namespace gpas {

struct HuggingFaceTokenizer {
    std::string json;    // tokenizer.json
    std::string config;  // tokenizer_config.json
    // Name of the SentencePiece file: tokenizer.model if llama.cpp, which reads a file of this name, gives training's
    // ids for it; else sentencepiece.model.
    std::string model_file;
    std::vector<std::string> notes;  // lines for people: which reader gives other ids for which text, and why
};

// ids: the special tokens used in training; max_length: model_max_length. Text never becomes a special token, as in
// training (split_special_tokens). Error(usage) for settings that no reader knows.
HuggingFaceTokenizer hugging_face_tokenizer(const Tokenizer& tokenizer, const TokenIds& ids, std::int64_t max_length);

}  // namespace gpas
