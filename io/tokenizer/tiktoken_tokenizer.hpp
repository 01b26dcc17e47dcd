// Tokenizers of tiktoken: files of "BASE64 RANK" lines, and Mistral's tekken.json.
#pragma once

#include "io/data/tokenizer.hpp"
#include "io/tokenizer/text_encoder.hpp"
#include "io/tokenizer/tiktoken_file.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gpas {

// Gives the ids of tiktoken's encode_ordinary: no text becomes a special token. The files of Qwen are used as Qwen does:
// texts are normalized to NFC first.
class TiktokenTokenizer : public Tokenizer {
public:
    // `bytes`: of the file, a tekken.json if it begins with {; `name`: for messages; `pattern`: a name of
    // known_tiktoken.hpp or a regular expression; empty: that of the file, if the file is a tekken.json or is known.
    // Error(bad_file), one line, if the file is damaged, the pattern has an error, or no pattern is known.
    TiktokenTokenizer(std::string bytes, std::string name, const std::string& pattern = "");

    using Tokenizer::encode;
    TokenizerKind kind() const override { return kind_; }
    void encode(std::string_view text, std::vector<std::int32_t>& ids) const override { encoder_->encode(text, ids); }
    std::string decode(std::span<const std::int32_t> ids) const override;
    std::int64_t vocab_size() const override { return std::int64_t(texts_.size()); }
    // Bytes are spelled in the byte-level alphabet of GPT-2: "Ġthe". Empty for an id without a token.
    std::string piece(std::int64_t id) const override;
    std::string piece_text(std::int64_t id) const override;
    std::int32_t unk_id() const override { return -1; }  // every text can be encoded
    std::int32_t bos_id() const override { return bos_; }
    std::int32_t eos_id() const override { return eos_; }
    std::int32_t pad_id() const override { return pad_; }
    bool lossless() const override { return lossless_; }
    bool cuts_at_newlines() const override { return false; }
    const std::string& model_bytes() const override { return bytes_; }

private:
    BpeModel::Vocabulary add_tokens(const TiktokenFile& file);
    void add_special(const TiktokenFile& file);

    std::string name_;
    std::string bytes_;
    TokenizerKind kind_;
    std::unique_ptr<TextEncoder> encoder_;
    std::vector<std::string> texts_;  // by id: bytes, or the name of a special token
    std::vector<bool> special_;       // by id
    std::int32_t bos_ = -1, eos_ = -1, pad_ = -1;
    bool lossless_ = false;
};

}  // namespace gpas
