// Trains SentencePiece models on text.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace gpas {

enum class TokenizerType { bpe, unigram };

struct TokenizerTraining {
    TokenizerType type = TokenizerType::bpe;
    std::int64_t vocab_size = 32000;  // including 3 control pieces and 256 byte pieces
};

// Error(usage) if no text can give a vocabulary of this size.
void check_tokenizer_training(const TokenizerTraining& options);

// Trains a lossless model: no normalisation, no dummy prefix, white space kept, byte fallback. Ids: <unk> 0, BOS 1, EOS
// 2. Returns the bytes of its .model file. The result depends on the texts only, not on the number of cores. next(text)
// supplies texts until it returns false; all texts are held in memory. Texts are cut at newlines, tabs and the
// characters that SentencePiece reserves, so these characters remain byte pieces. Error(usage) if the texts are too few
// for the vocabulary.
std::string train_tokenizer(const TokenizerTraining& options, const std::function<bool(std::string&)>& next);

}  // namespace gpas
