// Makes batches from sample numbers. The training samples of a run are numbered 0, 1, 2, ... without end. Step k
// uses samples [k G, (k + 1) G), for any division among ranks. Every fill() is pure: no state, thread-safe, the same
// bits for the same numbers. docs/data.md describes the order.
#pragma once

#include "io/data/blend.hpp"
#include "io/data/token_dataset.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace gpas {

// Sequence-first: position t of sample b is at [t * samples + b].
struct Batch {
    std::vector<std::int32_t> tokens;         // [sequence_length, samples]
    std::vector<std::int32_t> labels;         // the same shape; -1: not in the loss
    std::vector<std::int32_t> segment_begin;  // the same shape; all 0 without mask_documents
    std::int64_t samples = 0;
    std::int64_t sequence_length = 0;
    std::int64_t loss_tokens = 0;  // labels that are not -1
};

// The endless training order: blended sources, each passed over epoch by epoch in a fresh order.
class SampleStream {
public:
    struct Source {
        TokenDataset data;
        double weight = 1.0;
    };
    struct Place {
        std::int64_t source = 0;
        std::int64_t epoch = 0;   // of that source
        std::int64_t sample = 0;  // of its TokenDataset
    };

    SampleStream(std::vector<Source> sources, std::uint64_t seed);  // at least one source, all of one SampleShape

    // Samples first .. first + count - 1 of the run. Allocates only when the batch is smaller than this one.
    void fill(Batch& batch, std::int64_t first, std::int64_t count) const;
    Place place(std::int64_t k) const;

    std::int64_t sequence_length() const { return sources_.front().data.shape().sequence_length; }
    const std::vector<Source>& sources() const { return sources_; }
    const Blend& blend() const { return blend_; }

private:
    std::vector<Source> sources_;
    Blend blend_;
    std::uint64_t seed_;
};

// Held-out samples in a fixed order, each once. A limit selects that many samples, spread evenly over all held-out
// samples, so that every source and every part of each source is represented.
class ValidationSet {
public:
    explicit ValidationSet(std::vector<TokenDataset> sources, std::int64_t limit = 0);  // limit 0: all

    std::int64_t samples() const { return samples_; }
    void fill(Batch& batch, std::int64_t first, std::int64_t count) const;  // [first, first + count) within samples()

    // Whether any of samples() has a token with a loss. From the index alone.
    bool has_loss_tokens() const;

    const std::vector<TokenDataset>& sources() const { return sources_; }

private:
    std::pair<const TokenDataset*, std::int64_t> place(
        std::int64_t j) const;  // the source of sample j, and where there

    std::vector<TokenDataset> sources_;
    std::int64_t available_ = 0;
    std::int64_t samples_ = 0;
};

// All data that a run reads.
struct RunData {
    SampleStream train;
    std::unique_ptr<ValidationSet> valid;                      // null: valid_fraction 0 and no data.valid
    std::vector<std::shared_ptr<const IndexedDataset>> files;  // training files first, in the order of the config
    std::uint64_t fingerprint = 0;  // of the files, their weights and the split: a resumed run compares it
};

struct OpenDataOptions {
    std::uint64_t seed = 1234;
    std::int64_t vocab_size = 0;
    std::int64_t validation_samples = 0;  // limit; 0: all
    std::int64_t check_tokens = 1 << 24;  // ids looked at per file before the run; 0: all of them
    std::int64_t threads = 1;
    bool evaluates = true;  // false: the validation set may be without a loss
};

// Error(usage) if a training source, or (with `evaluates`) the validation set as a whole, has no token with a
// loss.
// Error(bad_file) for token files that cannot be used, Error(usage) for a data.tokenizer with more pieces than
// vocab_size.
RunData open_data(const DataConfig& config, const OpenDataOptions& options);

}  // namespace gpas
