// One small SentencePiece model of every kind that training may use; the bytes are always the same. For tests of the
// tokenizer's export, and for scripts/check-transformers.
#pragma once

#include "io/data/tokenizer_training.hpp"

#include <sentencepiece_trainer.h>

#include <cstdint>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gpas::test_support {

inline std::vector<std::string> tokenizer_corpus() {
    const std::vector<std::string> words{
        "the",        "of",          "model",      "training",  "tokens", "data",  "loss",    "rank",
        "checkpoint", "Transformer", "größe",      "naïve",     "café",   "2048",  "100,000", "x = y;",
        "if (a)",     "====",        "----",       "...",       "http",   "a/b/c", "<b>",     "hahaha",
        "0000",       "世界",        "京都",       "мир",       "привет", "señor", "don't",   "(see)",
        "\"what\"",   "e-mail",      "snake_case", "CamelCase", "+1",     "#tag",  "50%",     "[1]"};
    std::vector<std::string> lines;
    std::mt19937 random(5);
    for (int line = 0; line < 600; ++line) {
        std::string text(random() % 8 == 0 ? 4 : 0, ' ');
        for (int word = 0; word < 9; ++word) text += words[random() % words.size()] + (random() % 6 == 0 ? "  " : " ");
        lines.push_back(text);
    }
    return lines;
}

class CorpusLines : public sentencepiece::SentenceIterator {
public:
    bool done() const override { return next_ == lines_.size(); }
    void Next() override { ++next_; }
    const std::string& value() const override { return lines_[next_]; }
    sentencepiece::util::Status status() const override { return {}; }

private:
    std::vector<std::string> lines_ = tokenizer_corpus();
    std::size_t next_ = 0;
};

inline std::string sentencepiece_model(const std::map<std::string, std::string>& changes) {
    std::unordered_map<std::string, std::string> arguments{{"vocab_size", "345"},
                                                           {"normalization_rule_name", "identity"},
                                                           {"add_dummy_prefix", "false"},
                                                           {"remove_extra_whitespaces", "false"},
                                                           {"allow_whitespace_only_pieces", "true"},
                                                           {"byte_fallback", "true"},
                                                           {"num_threads", "1"},
                                                           {"minloglevel", "2"}};
    for (const auto& [key, value] : changes) arguments[key] = value;
    std::string model;
    CorpusLines lines;
    const auto status = sentencepiece::SentencePieceTrainer::Train(arguments, &lines, &model);
    if (!status.ok()) throw std::runtime_error(status.ToString());
    return model;
}

struct TokenizerOfKind {
    std::string name;
    std::string model;  // bytes of the .model file
};

inline std::vector<TokenizerOfKind> tokenizers_of_all_kinds() {
    using Changes = std::map<std::string, std::string>;
    const auto prepared = [](TokenizerType type) {
        const std::vector<std::string> lines = tokenizer_corpus();
        std::size_t next = 0;
        return train_tokenizer({type, 345}, [&](std::string& text) {
            if (next == lines.size()) return false;
            text = lines[next++];
            return true;
        });
    };
    const Changes dummy{{"add_dummy_prefix", "true"}};
    const Changes t5{{"add_dummy_prefix", "true"},
                     {"remove_extra_whitespaces", "true"},
                     {"normalization_rule_name", "nmt_nfkc"},
                     {"byte_fallback", "false"},
                     {"vocab_size", "95"}};
    const auto with = [](Changes changes, const Changes& more) {
        changes.insert(more.begin(), more.end());
        return sentencepiece_model(changes);
    };
    return {{"bpe", prepared(TokenizerType::bpe)},
            {"unigram", prepared(TokenizerType::unigram)},
            {"bpe_dummy", with({{"model_type", "bpe"}}, dummy)},
            {"unigram_dummy", with({{"model_type", "unigram"}}, dummy)},
            {"bpe_normalized", with({{"model_type", "bpe"}}, t5)},
            {"unigram_normalized", with({{"model_type", "unigram"}}, t5)},
            {"bpe_spaces", with({{"model_type", "bpe"}}, {{"remove_extra_whitespaces", "true"}})},
            {"bpe_user", with({{"model_type", "bpe"}}, {{"user_defined_symbols", "<sep>,<cls>"}, {"pad_id", "3"}})},
            {"char", with({{"model_type", "char"}}, {{"use_all_vocab", "true"}})},
            {"char_dummy", with({{"model_type", "char"}, {"use_all_vocab", "true"}}, dummy)},
            {"word", with({{"model_type", "word"}, {"use_all_vocab", "true"}, {"byte_fallback", "false"}}, dummy)},
            {"word_bytes", with({{"model_type", "word"}, {"use_all_vocab", "true"}}, dummy)}};
}

}  // namespace gpas::test_support
