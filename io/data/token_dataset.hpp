// One source of tokens, or its training or validation part, as samples of one length. There is no index file: sample i
// is found by arithmetic and, if document boundaries matter, one binary search.
#pragma once

#include "io/config/run_config.hpp"
#include "io/data/indexed_dataset.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace gpas {

// The shape of the samples of a run; equal for all sources.
struct SampleShape {
    SampleMode mode = SampleMode::packed;
    std::int64_t sequence_length = 256;
    bool mask_documents = false;
    std::int64_t vocab_size = 0;  // reading an id outside [0, vocab_size) is an error; 0: ids are not checked
    TruncatedEnd truncated_end = TruncatedEnd::automatic;
};

// A contiguous range of documents, and of tokens in them. The first and the last document may be only partly in the
// range of tokens.
struct TokenRange {
    std::int64_t first_document = 0, end_document = 0;
    std::int64_t first_token = 0, end_token = 0;
};

// The memory that a sample is written to. Element t of each array is at [t * stride]. segment_begin may be null.
struct SampleOut {
    std::int32_t* tokens = nullptr;
    std::int32_t* labels = nullptr;
    std::int32_t* segment_begin = nullptr;
    std::int64_t stride = 1;
};

class TokenDataset {
public:
    static constexpr std::int32_t ignored_label = -1;
    static constexpr std::int32_t padding_token = 0;

    // Error(usage) if the range is shorter than one sample (`role`, such as "training", names the range in the
    // message), or if shape.truncated_end is eos and the file has no EOS.
    TokenDataset(std::shared_ptr<const IndexedDataset> source, const TokenRange& range, const SampleShape& shape,
                 const std::string& role);

    // The number of samples. With s = sequence_length:
    //
    // packed: the range is one stream of tokens. Sample i is tokens [i s, i s + s] of the stream: the first s are
    // inputs, the last s are labels. So neighbouring samples share one token, and up to s tokens at the end are unused.
    //
    // padded: sample i is document i, truncated or padded to s tokens. Only the document's own tokens are labels, at
    // most s - 1. The last token of a truncated document is truncated_end_token(), if there is one.
    std::int64_t samples() const { return samples_; }
    std::int64_t tokens() const { return range_.end_token - range_.first_token; }

    // out.tokens[t] = input token t. out.labels[t] = the token after it, or ignored_label if t has no loss: on padding,
    // and with mask_documents on the last token of a document. out.segment_begin[t] = the first position in the sample
    // that attention of t may see: with mask_documents the beginning of t's document, else 0. Returns the number of
    // labels in the loss. Pure and thread-safe.
    std::int64_t read(std::int64_t sample, const SampleOut& out) const;

    // The number that read() returns, computed from the index without reading tokens.
    std::int64_t loss_tokens(std::int64_t sample) const;

    const IndexedDataset& source() const { return *source_; }
    const TokenRange& range() const { return range_; }
    const SampleShape& shape() const { return shape_; }
    // padded: whether a document of the range is longer than s.
    bool truncates() const { return truncates_; }
    // EOS of the file (end_of_document_token) if truncates() and shape().truncated_end asks for EOS; else nullopt.
    std::optional<std::int32_t> truncated_end_token() const { return truncated_end_token_; }

private:
    std::int64_t read_packed(std::int64_t sample, const SampleOut& out) const;
    std::int64_t read_padded(std::int64_t sample, const SampleOut& out) const;
    // Calls body(begin, end) for the part of each document that begins inside the sample of tokens [first, first + s],
    // or directly after it. Positions are relative to the sample; end may be beyond the sample.
    template <class Body>
    void for_each_segment(std::int64_t first, Body&& body) const;
    void find_truncated_end();
    void check_ids(std::int64_t first, std::int64_t count, const std::int32_t* ids, std::int64_t stride) const;

    std::shared_ptr<const IndexedDataset> source_;
    TokenRange range_;
    SampleShape shape_;
    std::int64_t samples_ = 0;
    bool truncates_ = false;
    std::optional<std::int32_t> truncated_end_token_;
};

TokenRange whole_range(const IndexedDataset& source);

// Returns {training, validation}. The validation part is the last valid_fraction of the documents (rounded; at least
// one document, never all). A source of one document is divided between two tokens if samples are packed (validation
// gets at least one sample), and is an error if samples are padded. valid_fraction 0: all documents are training, and
// the validation range is empty.
std::pair<TokenRange, TokenRange> split_source(const IndexedDataset& source, double valid_fraction,
                                               const SampleShape& shape);

}  // namespace gpas
