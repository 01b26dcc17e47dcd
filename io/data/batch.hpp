// Makes batches from sample numbers. The training samples of a run are numbered 0, 1, 2, ... without end. With a global
// batch of G samples, step k (from 0) uses samples [k G, (k + 1) G), for any layout of the ranks. Every fill() is pure:
// it has no state, is thread-safe, and gives the same bits for the same numbers. docs/data.md describes the order.
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
    std::vector<std::int32_t> labels;         // [sequence_length, samples]; -1: not in the loss
    std::vector<std::int32_t> segment_begin;  // [sequence_length, samples]: first position that attention may see; 0
                                              // without mask_documents
    std::int64_t samples = 0;
    std::int64_t sequence_length = 0;
    std::int64_t loss_tokens = 0;  // labels that are not -1
};

// The endless sequence of training samples. Sources are blended by weight; each source is shuffled again in each epoch.
class SampleStream {
public:
    struct Source {
        TokenDataset data;
        double weight = 1.0;
    };
    struct Place {
        std::int64_t source = 0;  // index in sources()
        std::int64_t epoch = 0;   // of this source, from 0
        std::int64_t sample = 0;  // index in the source's TokenDataset
    };

    // At least one source; all sources have the same SampleShape.
    SampleStream(std::vector<Source> sources, std::uint64_t seed);

    // batch = samples [first, first + count) of the run. Allocates memory only if the batch's vectors are too small.
    void fill(Batch& batch, std::int64_t first, std::int64_t count) const;
    Place place(std::int64_t k) const;  // of sample k of the run

    std::int64_t sequence_length() const { return sources_.front().data.shape().sequence_length; }
    const std::vector<Source>& sources() const { return sources_; }
    const Blend& blend() const { return blend_; }

private:
    std::vector<Source> sources_;
    Blend blend_;
    std::uint64_t seed_;
};

// Held-out samples in a fixed order, each once. A limit selects that many samples, spread evenly over all held-out
// samples, so that the selection represents every source and every part of each source.
class ValidationSet {
public:
    explicit ValidationSet(std::vector<TokenDataset> sources, std::int64_t limit = 0);  // limit 0: all

    std::int64_t samples() const { return samples_; }
    // batch = held-out samples [first, first + count), which must be within [0, samples()).
    void fill(Batch& batch, std::int64_t first, std::int64_t count) const;

    // Whether any of the samples has a token with a loss. Reads the index only, no tokens.
    bool has_loss_tokens() const;

    const std::vector<TokenDataset>& sources() const { return sources_; }

private:
    // The source of sample j, and the sample's index in it.
    std::pair<const TokenDataset*, std::int64_t> place(std::int64_t j) const;

    std::vector<TokenDataset> sources_;
    std::int64_t available_ = 0;
    std::int64_t samples_ = 0;
};

// All data that a run reads.
struct RunData {
    SampleStream train;
    std::unique_ptr<ValidationSet> valid;                      // null if valid_fraction is 0 and data.valid is empty
    std::vector<std::shared_ptr<const IndexedDataset>> files;  // training files first, in the order of the config
    std::uint64_t fingerprint = 0;  // of the files, their weights and the split; compared when a run resumes
};

struct OpenDataOptions {
    std::uint64_t seed = 1234;
    std::int64_t vocab_size = 0;
    std::int64_t validation_samples = 0;  // limit of the ValidationSet; 0: all
    std::int64_t check_tokens = 1 << 24;  // ids checked per file before the run; 0: all ids
    std::int64_t threads = 1;             // for checking ids
    bool evaluates = true;  // false: no evaluation will take place, so the validation set may have no loss tokens
};

// Opens and checks all files of `config`. Error(bad_file) if a token file cannot be used. Error(usage) if a training
// source has no token with a loss, if (with `evaluates`) the whole validation set has none, or if data.tokenizer has
// more pieces than vocab_size.
RunData open_data(const DataConfig& config, const OpenDataOptions& options);

}  // namespace gpas
