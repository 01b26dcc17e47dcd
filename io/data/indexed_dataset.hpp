// Token files in the format of Megatron-LM's IndexedDataset. <prefix>.bin holds the token ids without gaps.
// <prefix>.idx holds the start of each sequence and of each document (docs/data.md has the byte layout). gpas reads
// files that Megatron-LM wrote, and Megatron-LM reads files that gpas wrote.
#pragma once

#include "io/data/mapped_file.hpp"

#include <cstdint>
#include <string>

namespace gpas {

// Type codes of the .idx header. Codes 6 and 7 are floating-point types, which gpas refuses.
enum class TokenDtype : std::uint8_t { uint8 = 1, int8 = 2, int16 = 3, int32 = 4, int64 = 5, uint16 = 8 };

std::int64_t token_bytes(TokenDtype dtype);  // bytes per token
// The type that Megatron-LM chooses: uint16 if vocab_size is below 65500, else int32.
TokenDtype token_dtype_for(std::int64_t vocab_size);

// A memory-mapped dataset. The constructor reads the whole .idx file. Error(bad_file), one line with file and byte, if
// the files are missing, damaged or inconsistent. All other members are const, thread-safe and allocate no memory.
class IndexedDataset {
public:
    explicit IndexedDataset(std::string prefix);

    const std::string& prefix() const { return prefix_; }
    TokenDtype dtype() const { return dtype_; }
    std::int64_t sequences() const { return sequences_; }
    std::int64_t documents() const { return documents_; }
    std::int64_t tokens() const { return tokens_; }

    // Position in .bin (in tokens) of the first token of document k in [0, documents()]; k = documents() gives
    // tokens().
    std::int64_t document_begin(std::int64_t k) const;
    // The document that contains this token, in [0, tokens()). Binary search. The result is never an empty document.
    std::int64_t document_of(std::int64_t token) const;

    // out[i * stride] = token first + i, for i in [0, count). An id outside the range of int32 becomes -1.
    void read(std::int64_t first, std::int64_t count, std::int32_t* out, std::int64_t stride = 1) const;

    // Error(bad_file) if an id is outside [0, vocab_size); the message names the first such id. Checks every token. If
    // max_tokens > 0, checks about that many tokens, in blocks spread evenly over the file.
    void check_ids(std::int64_t vocab_size, std::int64_t threads, std::int64_t max_tokens = 0) const;
    [[noreturn]] void fail_bad_id(std::int64_t token, std::int64_t vocab_size) const;

    // Identifies the dataset: XXH3 over all of .idx, the size of .bin and blocks spread over .bin. Checkpoints store
    // it.
    std::uint64_t fingerprint() const;

private:
    void read_header();
    void check_sequences();
    void check_documents() const;
    std::int64_t pointer(std::int64_t sequence) const;
    std::int64_t document_sequence(std::int64_t k) const;

    std::string prefix_;
    MappedFile index_;
    MappedFile data_;
    TokenDtype dtype_ = TokenDtype::uint16;
    std::int64_t sequences_ = 0;
    std::int64_t documents_ = 0;
    std::int64_t tokens_ = 0;
};

}  // namespace gpas
