// Converts text to token ids and back with SentencePiece models (.model files): models that gpas trains, and others
// such as those of T5 and LLaMA.
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

// Immutable after construction; all members are thread-safe.
class Tokenizer {
public:
    // Error(bad_file), one line, if the file is missing, damaged or not a SentencePiece model.
    explicit Tokenizer(const std::string& path);
    Tokenizer(std::string model, std::string name);  // `model`: the bytes of a .model file; `name`: for messages
    Tokenizer(Tokenizer&&) noexcept;
    Tokenizer& operator=(Tokenizer&&) noexcept;
    ~Tokenizer();

    // Appends the ids of `text` to `ids`. Ill-formed UTF-8 is encoded as U+FFFD. (A caller that needs the number of
    // replacements calls repair_utf8 first.)
    void encode(std::string_view text, std::vector<std::int32_t>& ids) const;
    std::vector<std::int32_t> encode(std::string_view text) const;
    // The text of the ids. Control pieces (BOS, EOS, padding) have no text. Error(usage) for an id outside the
    // vocabulary.
    std::string decode(std::span<const std::int32_t> ids) const;

    std::int64_t vocab_size() const;
    std::string piece(std::int64_t id) const;  // as the model spells it: "▁the", "<0x0A>"
    // The text of a piece, regardless of its position: "▁" becomes a space, a byte piece its byte, <unk> and control
    // pieces the empty text.
    std::string piece_text(std::int64_t id) const;
    std::int32_t unk_id() const;
    std::int32_t bos_id() const;  // -1: the model has no BOS
    std::int32_t eos_id() const;  // -1: the model has no EOS
    std::int32_t pad_id() const;  // -1: the model has no padding token

    // Whether decode(encode(text)) == text for every well-formed text, as for the models that train_tokenizer makes.
    // The constructor determines this with test texts.
    bool lossless() const { return lossless_; }
    // Whether a text may be cut before newlines and encoded in parts: a newline is a token of its own, and the text
    // before it does not affect the tokens after it.
    bool cuts_at_newlines() const { return cuts_at_newlines_; }

    const std::string& model_bytes() const { return model_; }
    std::uint64_t fingerprint() const;  // XXH3 of the model's bytes

private:
    void load();
    void probe();
    void encode_piecewise(std::string_view text, std::vector<std::int32_t>& ids) const;
    void encode_plain(std::string_view text, std::vector<std::int32_t>& ids) const;

    std::string name_;
    std::string model_;
    std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
    std::vector<std::int32_t> byte_ids_;  // id of <0x00>, <0x01>, ...; empty without byte fallback
    std::vector<std::int32_t> newline_;   // ids of "\n"
    bool lossless_ = false;
    bool cuts_at_newlines_ = false;
};

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
