// Tokenizer of SentencePiece models (.model files): models that gpas trains, and others such as those of T5 and LLaMA.
#pragma once

#include "io/data/tokenizer.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace gpas {

class SentencePieceTokenizer final : public Tokenizer {
public:
    // `model`: the bytes of a .model file; `name`: for messages. Error(bad_file), one line, if the bytes are damaged or
    // not a SentencePiece model.
    SentencePieceTokenizer(std::string model, std::string name);
    ~SentencePieceTokenizer() override;

    using Tokenizer::encode;
    TokenizerKind kind() const override { return TokenizerKind::sentencepiece; }
    void encode(std::string_view text, std::vector<std::int32_t>& ids) const override;
    std::string decode(std::span<const std::int32_t> ids) const override;
    std::int64_t vocab_size() const override;
    std::string piece(std::int64_t id) const override;
    std::string piece_text(std::int64_t id) const override;
    std::int32_t unk_id() const override;
    std::int32_t bos_id() const override;
    std::int32_t eos_id() const override;
    std::int32_t pad_id() const override;
    // The constructor determines both properties with test texts. cuts_at_newlines() is true if a newline is a token of
    // its own and the text before it does not affect the tokens after it.
    bool lossless() const override { return lossless_; }
    bool cuts_at_newlines() const override { return cuts_at_newlines_; }
    const std::string& model_bytes() const override { return model_; }

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

}  // namespace gpas
