// Converts text to token ids and back. One interface for tokenizers of all kinds; open_tokenizer() recognises the kind
// of a file by its content.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gpas {

enum class TokenizerKind {
    sentencepiece,  // a SentencePiece model: *.model
    hugging_face,   // tokenizer.json of Hugging Face
    tekken,         // tekken.json of Mistral
    tiktoken,       // lines of "BASE64 RANK": *.tiktoken, tokenizer.model of Llama 3
};

// "SentencePiece", "Hugging Face tokenizer.json", "Mistral tekken.json", "tiktoken": for reports and manifests.
const char* tokenizer_kind_name(TokenizerKind kind);
// The name that Hugging Face's model directories use for a file of this kind: "tokenizer.model", "tokenizer.json",
// "tekken.json".
const char* tokenizer_file_name(TokenizerKind kind);

// Immutable after construction; all members are thread-safe.
class Tokenizer {
public:
    Tokenizer() = default;
    Tokenizer(const Tokenizer&) = delete;
    Tokenizer& operator=(const Tokenizer&) = delete;
    virtual ~Tokenizer() = default;

    virtual TokenizerKind kind() const = 0;

    // Appends the ids of `text` to `ids`. Adds no BOS and no EOS. Ill-formed UTF-8 is encoded as U+FFFD. (A caller that
    // needs the number of replacements calls repair_utf8 first.)
    virtual void encode(std::string_view text, std::vector<std::int32_t>& ids) const = 0;
    std::vector<std::int32_t> encode(std::string_view text) const;
    // The text of the ids. Control pieces (BOS, EOS, padding) have no text. Error(usage) for an id outside the
    // vocabulary.
    virtual std::string decode(std::span<const std::int32_t> ids) const = 0;

    // The number of ids, including those of special tokens: each id is in [0, vocab_size()).
    virtual std::int64_t vocab_size() const = 0;
    // The token as the file spells it: "▁the" and "<0x0A>" in a SentencePiece model, "Ġthe" in a tokenizer.json.
    virtual std::string piece(std::int64_t id) const = 0;
    // The bytes that the token stands for, regardless of its position: " the", "\n", or a part of a character. Empty
    // for <unk> and control pieces.
    virtual std::string piece_text(std::int64_t id) const = 0;
    virtual std::int32_t unk_id() const = 0;  // -1: no token for unknown text
    virtual std::int32_t bos_id() const = 0;  // -1: no BOS
    virtual std::int32_t eos_id() const = 0;  // -1: no EOS
    virtual std::int32_t pad_id() const = 0;  // -1: no padding token

    // Whether decode(encode(text)) == text for every well-formed text, as for the models that train_tokenizer makes.
    virtual bool lossless() const = 0;
    // Whether a text may be cut before newlines and encoded in parts: the concatenated ids of the parts equal the ids
    // of the whole text.
    virtual bool cuts_at_newlines() const = 0;

    virtual const std::string& model_bytes() const = 0;  // the bytes of the file
    virtual std::uint64_t fingerprint() const;           // XXH3 of model_bytes()
};

// Opens the file, or the file in the directory as tokenizer_file() finds it. For a file with the name tokenizer.json,
// the other files in its directory name BOS, EOS and the padding token (named_tokens.hpp). Error(bad_file), one line that states what
// the file is and what to do, if the file is missing, damaged, not a tokenizer or a tokenizer that gpas does not read.
std::unique_ptr<Tokenizer> open_tokenizer(const std::string& path);
// `bytes`: the content of such a file; `name`: for messages.
std::unique_ptr<Tokenizer> open_tokenizer(std::string bytes, std::string name);

// The bytes of the file. Error(bad_file) if it is missing, empty or larger than 2^28 bytes.
std::string read_tokenizer(const std::string& path);

// The path itself, unless it is a directory: then the only tokenizer file in the directory (tokenizer.json,
// tekken.json, *.model, *.tiktoken). Error(bad_file) if the directory contains no such file or several.
std::string tokenizer_file(const std::string& path);

}  // namespace gpas
