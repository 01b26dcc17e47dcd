// One source of tokens, or its training or validation part, seen as samples of one length. No index is built: sample i
// is found by arithmetic and, where document boundaries matter, one binary search.
#pragma once

#include "io/config/run_config.hpp"
#include "io/data/indexed_dataset.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace gpas {

// What the samples of a run look like; the same for all of its sources.
struct SampleShape {
    SampleMode mode = SampleMode::packed;
    std::int64_t sequence_length = 256;
    bool mask_documents = false;
    std::int64_t vocab_size = 0;  // ids outside are refused when read; 0: not checked
    TruncatedEnd truncated_end = TruncatedEnd::automatic;
};

// A contiguous range of documents and the tokens in it; document bounds are those of the whole file.
struct TokenRange {
    std::int64_t first_document = 0, end_document = 0;
    std::int64_t first_token = 0, end_token = 0;
};

// Where a sample goes: element t of each is at [t * stride]. segment_begin may be null.
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

    // Fails with ExitCode::usage when the range does not hold one sample (`role`, such as "training", is for that
    // message), or when shape.truncated_end asks for an EOS that the file does not have.
    TokenDataset(std::shared_ptr<const IndexedDataset> source, const TokenRange& range, const SampleShape& shape,
                 const std::string& role);

    // packed: the range is one stream of tokens; sample i is tokens [i s, i s + s] of it, s inputs and, one further, s
    // labels, so neighbouring samples share a token and up to s tokens at the end are left over.
    // padded: sample i is document i, cut or padded to s tokens, with labels inside of it only (s - 1 of them at most).
    // The last token of a document that was cut is truncated_end_token(), if there is one.
    std::int64_t samples() const { return samples_; }
    std::int64_t tokens() const { return range_.end_token - range_.first_token; }

    // tokens[t]; labels[t] = the token after it, or ignored_label where no loss is taken: on padding, and with
    // mask_documents on the last token of a document; segment_begin[t] = place in the sample where the document of t
    // begins with mask_documents, else 0: attention of t reaches back to there. Returns the number of labels in the
    // loss. Pure: safe from many threads.
    std::int64_t read(std::int64_t sample, const SampleOut& out) const;

    // What read() returns, from the index alone: no token is read.
    std::int64_t loss_tokens(std::int64_t sample) const;

    const IndexedDataset& source() const { return *source_; }
    const TokenRange& range() const { return range_; }
    const SampleShape& shape() const { return shape_; }
    // padded: a document of the range is longer than s.
    bool truncates() const { return truncates_; }
    // EOS of the file (end_of_document_token), if truncates() and shape().truncated_end asks for it.
    std::optional<std::int32_t> truncated_end_token() const { return truncated_end_token_; }

private:
    std::int64_t read_packed(std::int64_t sample, const SampleOut& out) const;
    std::int64_t read_padded(std::int64_t sample, const SampleOut& out) const;
    // body(begin, end) for the part of each document that begins inside the sample of tokens [first, first + s] or
    // right behind it; places within the sample, end may be beyond it.
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

// {training, validation}: the validation part is the last valid_fraction of the documents (rounded, at least one of
// them and never all). A source of one document is cut between two tokens when packed (at least one sample for
// validation) and refused when padded. valid_fraction 0: everything is training, the validation range is empty.
std::pair<TokenRange, TokenRange> split_source(const IndexedDataset& source, double valid_fraction,
                                               const SampleShape& shape);

}  // namespace gpas
