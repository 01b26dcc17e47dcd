#include "data_fixtures.hpp"
#include "io/data/prepare.hpp"
#include "io/data/sentencepiece_tokenizer.hpp"
#include "io/data/text_loss.hpp"

#include <gtest/gtest.h>
#include <sentencepiece_trainer.h>

#include <string>
#include <unordered_map>

namespace gpas::test {
namespace {

class Sentences : public sentencepiece::SentenceIterator {
public:
    bool done() const override { return i_ == 50; }
    void Next() override { value_ = "a cat sat on a mat and a fine dog " + std::to_string(++i_); }
    const std::string& value() const override { return value_; }
    sentencepiece::util::Status status() const override { return {}; }

private:
    int i_ = 0;
    std::string value_ = "a fine cat";
};

// A tokenizer as others train them: SentencePiece's defaults (nmt_nfkc, dummy prefix, no byte fallback).
const Tokenizer& foreign() {
    static const SentencePieceTokenizer tokenizer = [] {
        Sentences sentences;
        const std::unordered_map<std::string, std::string> options{
            {"vocab_size", "40"}, {"model_type", "bpe"}, {"minloglevel", "2"}, {"hard_vocab_limit", "false"}};
        std::string model;
        const auto status = sentencepiece::SentencePieceTrainer::Train(options, &sentences, &model);
        EXPECT_TRUE(status.ok()) << status.ToString();
        return SentencePieceTokenizer(model, "foreign");
    }();
    return tokenizer;
}

TextLoss loss_of(const std::string& text) {
    static LossMeter::Counts counts;
    return LossMeter(foreign()).measure(text, foreign().encode(text), counts);
}

TEST(TextLoss, CountsUnknownTokensAndCharactersThatDoNotComeBack) {
    const TextLoss none = loss_of("a cat sat");
    EXPECT_EQ(none.unknown_tokens, 0);
    EXPECT_EQ(none.lost_characters, 0);
    EXPECT_EQ(none.characters, 9);
    const TextLoss unknown = loss_of("a \xc3\xa9\xc3\xa9 cat");  // the two letters are one unknown token
    EXPECT_EQ(unknown.unknown_tokens, 1);
    EXPECT_EQ(unknown.lost_characters, 2);
    EXPECT_EQ(unknown.characters, 8);
    EXPECT_EQ(loss_of("a  cat  sat").lost_characters, 2);     // a space and the newline
    EXPECT_EQ(loss_of("\xef\xac\x81ne").lost_characters, 1);  // the ligature fi becomes two letters
}

TEST(TextLoss, IsReportedByPrepareAndKeptInItsManifest) {
    const DataFolder folder;
    write_bytes(folder / "t.model", foreign().model_bytes());
    write_bytes(folder / "t.txt", "a cat\n\xc3\xa9 dog\n");
    PrepareOptions options;
    options.inputs = {folder / "t.txt"};
    options.documents = DocumentMode::line;
    options.output_prefix = folder / "out";
    options.tokenizer = folder / "t.model";
    for (const bool again : {false, true}) {
        const PrepareReport report = prepare(options);
        EXPECT_EQ(report.already_done, again);
        EXPECT_EQ(report.loss.characters, 10);
        EXPECT_EQ(report.loss.lost_characters, 1);
        EXPECT_EQ(report.loss.unknown_tokens, 1);
    }
}

}  // namespace
}  // namespace gpas::test
