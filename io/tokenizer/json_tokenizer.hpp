// A tokenizer.json of Hugging Face with a BPE model, byte-level or with byte fallback.
#pragma once

#include "io/data/tokenizer.hpp"
#include "io/tokenizer/named_tokens.hpp"
#include "io/tokenizer/text_encoder.hpp"
#include "io/tokenizer/token_decoder.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace gpas {

class JsonNode;

// Gives the ids of Hugging Face's tokenizers with add_special_tokens=False: the text of an added token, special or not,
// becomes this token. Ignores "truncation", and all of "padding" but its pad_id.
class JsonTokenizer : public Tokenizer {
public:
    // `json`: the bytes of the file; `name`: for messages; `named`: the special tokens that other files name.
    // Error(bad_file), one line, if the file is damaged, has a component that gpas does not support, or has no token
    // with the named text of BOS or EOS.
    JsonTokenizer(std::string json, std::string name, const NamedTokens& named = {});

    using Tokenizer::encode;
    TokenizerKind kind() const override { return TokenizerKind::hugging_face; }
    void encode(std::string_view text, std::vector<std::int32_t>& ids) const override { encoder_->encode(text, ids); }
    std::string decode(std::span<const std::int32_t> ids) const override;
    std::int64_t vocab_size() const override { return std::int64_t(pieces_.size()); }
    std::string piece(std::int64_t id) const override;  // empty for an id without a token
    std::string piece_text(std::int64_t id) const override;
    std::int32_t unk_id() const override { return unk_; }
    // The named token; otherwise from the post-processor; otherwise the added token with a usual name, such as <s> or
    // <|endoftext|>.
    std::int32_t bos_id() const override { return bos_; }
    std::int32_t eos_id() const override { return eos_; }
    std::int32_t pad_id() const override { return pad_; }
    bool lossless() const override { return lossless_; }  // false if there are special tokens: their text is lost
    bool cuts_at_newlines() const override { return false; }
    const std::string& model_bytes() const override { return json_; }

private:
    void mark_added(const std::vector<AddedToken>& added, const std::vector<NormalizerStep>& normalizer);
    const std::string& token_for_decoder(std::int32_t id) const;
    void find_special_ids(const JsonNode& file, const std::vector<AddedToken>& added, const NamedTokens& named);
    std::int32_t id_of(const NamedToken& token) const;  // -1: the vocabulary has no such token, or it is not named

    std::string name_;
    std::string json_;
    std::unique_ptr<TextEncoder> encoder_;
    std::vector<DecoderStep> decoder_;
    std::vector<std::string> pieces_;                           // by id
    std::unordered_map<std::int32_t, std::string> normalized_;  // added tokens that are decoded as normalized
    std::vector<bool> special_;                                 // by id
    std::int32_t unk_ = -1, bos_ = -1, eos_ = -1, pad_ = -1;
    bool lossless_ = false;
};

}  // namespace gpas
