// Writes tokenizer.json and tokenizer_config.json for a SentencePiece model. Used by tokenizer.cpp only.
#pragma once

#include "io/data/sentencepiece_model.hpp"
#include "io/data/tokenizer.hpp"
#include "io/hugging_face/token_ids.hpp"

#include <cstdint>
#include <string>

namespace gpas {

struct WrittenTokenizer {
    std::string json;    // tokenizer.json
    std::string config;  // tokenizer_config.json
    SentencePieceModel model;
    bool has_bytes = false;  // the model has byte pieces
    // There are pieces of one character other than the space mark. In a word model with byte pieces, such pieces are
    // also found inside unknown words.
    bool has_single_characters = false;
    bool is_exact = false;  // pieces are written with spaces instead of U+2581
};

// ids: the special tokens used in training; max_length: model_max_length. Error(usage) if the model has settings that
// tokenizer.json cannot express; Error(bad_file) if a piece is not UTF-8.
WrittenTokenizer write_tokenizer(const Tokenizer& tokenizer, const TokenIds& ids, std::int64_t max_length);

// Whether the model has a piece of this kind.
bool has_piece(const SentencePieceModel& model, PieceKind kind);

}  // namespace gpas
