#include "io/data/tokenizer_training.hpp"

#include "base/error.hpp"
#include "io/data/sentencepiece_model.hpp"
#include "io/data/utf8.hpp"

#include <sentencepiece_trainer.h>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

namespace gpas {
namespace {

constexpr std::size_t longest_sentence_bytes = 16384;

// The position of the first tab, U+2581 or U+2585, which the trainer uses internally. It skips sentences that contain
// them.
std::size_t reserved_at(std::string_view text, std::size_t& bytes) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\n' || c == '\r' || c == '\t' || c == '\0') {
            bytes = 1;
            return i;
        }
        if (c == '\xe2' && (text.substr(i, 3) == "\xe2\x96\x81" || text.substr(i, 3) == "\xe2\x96\x85")) {
            bytes = 3;
            return i;
        }
    }
    bytes = 0;
    return text.size();
}

// Cuts texts into sentences that the trainer accepts unchanged.
class Sentences : public sentencepiece::SentenceIterator {
public:
    explicit Sentences(const std::function<bool(std::string&)>& next) : next_(next) { Next(); }

    bool done() const override { return done_; }
    const std::string& value() const override { return sentence_; }
    sentencepiece::util::Status status() const override { return {}; }

    void Next() override {
        sentence_.clear();
        while (sentence_.empty()) {
            if (rest_.empty() && !refill()) {
                done_ = true;
                return;
            }
            std::size_t skipped = 0;
            std::size_t end = reserved_at(rest_.substr(0, longest_sentence_bytes + 3), skipped);
            if (end > longest_sentence_bytes) {
                end = cut_of(rest_);
                skipped = 0;
            }
            sentence_ = rest_.substr(0, end);
            rest_.remove_prefix(end + skipped);
        }
    }

private:
    bool refill() {
        if (!next_(text_)) return false;
        std::int64_t replaced = 0;
        if (valid_utf8_prefix(text_) != text_.size()) text_ = repair_utf8(text_, replaced);
        rest_ = text_;
        return true;
    }

    // Where to cut a long text: before a space if possible, and never inside a character.
    static std::size_t cut_of(std::string_view text) {
        const std::size_t space = text.rfind(' ', longest_sentence_bytes);
        if (space != std::string_view::npos && space > 0) return space;
        std::size_t cut = longest_sentence_bytes;
        while ((static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80) --cut;
        return cut;
    }

    const std::function<bool(std::string&)>& next_;
    std::string text_;
    std::string_view rest_;
    std::string sentence_;
    bool done_ = false;
};

// The number that follows `words` in the message of the trainer; empty if they are not in it.
std::string number_after(const std::string& message, std::string_view words) {
    const std::size_t at = message.find(words);
    if (at == std::string::npos) return "";
    const std::size_t begin = at + words.size();
    return message.substr(begin, message.find_first_not_of("0123456789", begin) - begin);
}

// The trainer's error message, without its source files and options.
std::string training_problem(std::string message) {
    std::replace(message.begin(), message.end(), '\n', ' ');
    if (const std::string most = number_after(message, "a value <= "); !most.empty())
        return "the text gives at most " + most + " pieces: choose fewer pieces, or add text";
    if (const std::string least = number_after(message, " vs "); !least.empty())
        return "the different characters of the text alone take " + least +
               " pieces: choose at least as large a number";
    const std::size_t source = message.rfind("] ");
    return source == std::string::npos ? message : message.substr(source + 2);
}

}  // namespace

void check_tokenizer_training(const TokenizerTraining& options) {
    if (options.vocab_size < 260 || options.vocab_size > 1000000) {
        fail(ExitCode::usage,
             "found {} pieces for the tokenizer, expected 260 (3 control pieces, 256 bytes, 1 more) to 1000000",
             options.vocab_size);
    }
}

std::string train_tokenizer(const TokenizerTraining& options, const std::function<bool(std::string&)>& next) {
    check_tokenizer_training(options);
    Sentences sentences(next);
    if (sentences.done()) fail(ExitCode::usage, "the tokenizer has no text to learn from");
    const std::unordered_map<std::string, std::string> arguments{
        {"model_type", options.type == TokenizerType::bpe ? "bpe" : "unigram"},
        {"vocab_size", std::to_string(options.vocab_size)},
        {"normalization_rule_name", "identity"},
        {"add_dummy_prefix", "false"},
        {"remove_extra_whitespaces", "false"},
        {"allow_whitespace_only_pieces", "true"},
        {"byte_fallback", "true"},
        {"max_sentence_length", std::to_string(longest_sentence_bytes)},
        {"num_threads", "8"},  // fixed, because it affects the result: unigram sums its counts per thread
        {"minloglevel", "2"}};
    std::string model;
    const auto status = sentencepiece::SentencePieceTrainer::Train(arguments, &sentences, &model);
    if (!status.ok()) {
        fail(ExitCode::usage, "training a tokenizer of {} pieces failed: {}", options.vocab_size,
             training_problem(status.ToString()));
    }
    if (options.type == TokenizerType::unigram) round_unigram_scores(model);
    return model;
}

}  // namespace gpas
