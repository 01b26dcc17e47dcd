// Converts text to token ids and back with SentencePiece models (.model files): those that gpas trains, and others such
// as T5 and LLaMA.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace gpas {

// Immutable once loaded; every member is safe from many threads.
class Tokenizer {
public:
    // Fails with ExitCode::bad_file, in one line, for files that are absent, damaged, or no SentencePiece model.
    explicit Tokenizer(const std::string& path);
    Tokenizer(std::string model, std::string name);  // from the bytes of a model; name is for messages
    Tokenizer(Tokenizer&&) noexcept;
    Tokenizer& operator=(Tokenizer&&) noexcept;
    ~Tokenizer();

    // Appends the ids of `text`. Ill-formed UTF-8 is encoded as U+FFFD (repair_utf8 counts it, for those who need to
    // know).
    void encode(std::string_view text, std::vector<std::int32_t>& ids) const;
    std::vector<std::int32_t> encode(std::string_view text) const;
    // Control pieces (bos, eos, padding) become nothing. Ids outside the vocabulary fail with ExitCode::usage.
    std::string decode(std::span<const std::int32_t> ids) const;

    std::int64_t vocab_size() const;
    std::string piece(std::int64_t id) const;  // as the model spells it: "▁the", "<0x0A>"
    // The text that a piece stands for wherever it is: spaces for "▁", the byte of a byte piece, nothing for <unk> and
    // control pieces.
    std::string piece_text(std::int64_t id) const;
    std::int32_t unk_id() const;
    std::int32_t bos_id() const;  // -1: the model has none; likewise below
    std::int32_t eos_id() const;
    std::int32_t pad_id() const;

    // decode(encode(text)) == text for every well-formed text. True of the models that train_tokenizer makes; found out
    // by probes when a model is loaded.
    bool lossless() const { return lossless_; }
    // Newlines are tokens of their own and nothing depends on what stands before one: a text may be encoded in parts
    // that are cut in front of newlines.
    bool cuts_at_newlines() const { return cuts_at_newlines_; }

    const std::string& model_bytes() const { return model_; }
    std::uint64_t fingerprint() const;  // xxh3 of the model's bytes

private:
    void load();
    void probe();
    void encode_piecewise(std::string_view text, std::vector<std::int32_t>& ids) const;
    void encode_plain(std::string_view text, std::vector<std::int32_t>& ids) const;

    std::string name_;
    std::string model_;
    std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
    std::vector<std::int32_t> byte_ids_;  // id of <0x00>, <0x01>, ...; empty without byte fallback
    std::vector<std::int32_t> newline_;   // what "\n" becomes
    bool lossless_ = false;
    bool cuts_at_newlines_ = false;
};

enum class TokenizerType { bpe, unigram };

struct TokenizerTraining {
    TokenizerType type = TokenizerType::bpe;
    std::int64_t vocab_size = 32000;  // with the 3 control and 256 byte pieces
};

// Fails with ExitCode::usage for sizes that no text can give.
void check_tokenizer_training(const TokenizerTraining& options);

// Trains a lossless model (no normalisation, no dummy prefix, white space kept, byte fallback) and returns the bytes of
// its .model file: the same for the same texts on any number of cores. next(text) supplies texts until it returns
// false; they are cut at newlines, tabs and the characters that SentencePiece keeps for itself, which therefore stay
// byte pieces, and all of them are held in memory. unk = 0, bos = 1, eos = 2. Fails with ExitCode::usage when the texts
// cannot fill the vocabulary.
std::string train_tokenizer(const TokenizerTraining& options, const std::function<bool(std::string&)>& next);

}  // namespace gpas
