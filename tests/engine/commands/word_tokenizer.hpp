// A tokenizer of a few tokens, for tests of commands.
#pragma once

#include "io/data/tokenizer.hpp"
#include "io/data/utf8.hpp"

namespace gpas {

// Tokens are words and single bytes. As in SentencePiece, the first word of a text loses its space.
class WordTokenizer final : public Tokenizer {
public:
    explicit WordTokenizer(TokenizerKind kind = TokenizerKind::sentencepiece) : kind_(kind) {}
    TokenizerKind kind() const override { return kind_; }
    void encode(std::string_view, std::vector<std::int32_t>&) const override {}
    std::string decode(std::span<const std::int32_t> ids) const override {
        std::string text;
        for (const std::int32_t id : ids) text += pieces_[std::size_t(id)];
        std::int64_t replaced = 0;
        return repair_utf8(text.starts_with(' ') ? text.substr(1) : text, replaced);
    }
    std::int64_t vocab_size() const override { return std::int64_t(pieces_.size()); }
    std::string piece(std::int64_t id) const override { return pieces_[std::size_t(id)]; }
    std::string piece_text(std::int64_t id) const override { return pieces_[std::size_t(id)]; }
    std::int32_t unk_id() const override { return -1; }
    std::int32_t bos_id() const override { return 7; }
    std::int32_t eos_id() const override { return 8; }
    std::int32_t pad_id() const override { return -1; }
    bool lossless() const override { return false; }
    bool cuts_at_newlines() const override { return false; }
    const std::string& model_bytes() const override { return pieces_[0]; }

private:
    TokenizerKind kind_;
    std::vector<std::string> pieces_{" one", " two", "\xE2", "\x82", "\xAC",
                                     "!",    "",     "<s>",  "</s>"};  // 2 3 4: the euro sign
};

}  // namespace gpas
