#include "io/data/batch.hpp"

#include "base/error.hpp"
#include "io/data/permutation.hpp"
#include "io/data/tokenizer.hpp"

#include <bit>
#include <filesystem>
#include <utility>

namespace gpas {
namespace {

void shape_batch(Batch& batch, std::int64_t samples, std::int64_t sequence_length) {
    const auto elements = std::size_t(samples * sequence_length);
    batch.tokens.resize(elements);
    batch.labels.resize(elements);
    batch.segment_begin.resize(elements);
    batch.samples = samples;
    batch.sequence_length = sequence_length;
    batch.loss_tokens = 0;
}

SampleOut column(Batch& batch, std::int64_t b) {
    return {batch.tokens.data() + b, batch.labels.data() + b, batch.segment_begin.data() + b, batch.samples};
}

std::vector<double> weights_of(const std::vector<SampleStream::Source>& sources) {
    std::vector<double> weights;
    for (const auto& source : sources) weights.push_back(source.weight);
    return weights;
}

// If the tokenizer has more pieces than the model, it is not the tokenizer of the data: its ids would exceed
// vocab_size. If it has fewer pieces, rows of the embedding remain unused, which is allowed.
void check_tokenizer_size(const std::string& path, std::int64_t vocab_size) {
    std::error_code error;
    if (path.empty() || vocab_size <= 0 || !std::filesystem::exists(path, error)) return;
    const std::int64_t pieces = open_tokenizer(path)->vocab_size();
    if (pieces > vocab_size)
        fail(ExitCode::usage,
             "data.tokenizer: {} has {} pieces, but model.vocab_size is {}; use the tokenizer that the data was "
             "prepared "
             "with, or raise model.vocab_size",
             path, pieces, vocab_size);
}

}  // namespace

SampleStream::SampleStream(std::vector<Source> sources, std::uint64_t seed)
    : sources_(std::move(sources)), blend_(weights_of(sources_)), seed_(seed) {}

SampleStream::Place SampleStream::place(std::int64_t k) const {
    const auto [source, index] = blend_(k);
    const std::int64_t per_epoch = sources_[std::size_t(source)].data.samples();
    const std::int64_t epoch = index / per_epoch;
    const Permutation order(per_epoch, seed_, std::uint64_t(source), std::uint64_t(epoch));
    return {source, epoch, order(index % per_epoch)};
}

void SampleStream::fill(Batch& batch, std::int64_t first, std::int64_t count) const {
    require(first >= 0 && count >= 0, "a batch of {} samples from {}", count, first);
    shape_batch(batch, count, sequence_length());
    for (std::int64_t b = 0; b < count; ++b) {
        const Place at = place(first + b);
        batch.loss_tokens += sources_[std::size_t(at.source)].data.read(at.sample, column(batch, b));
    }
}

ValidationSet::ValidationSet(std::vector<TokenDataset> sources, std::int64_t limit) : sources_(std::move(sources)) {
    require(!sources_.empty(), "a validation set without a source");
    for (const TokenDataset& source : sources_) available_ += source.samples();
    samples_ = limit > 0 && limit < available_ ? limit : available_;
}

std::pair<const TokenDataset*, std::int64_t> ValidationSet::place(std::int64_t j) const {
    // floor(j * available / samples), without computing the product, which may overflow.
    const std::int64_t whole = available_ / samples_, rest = available_ % samples_;
    std::int64_t sample = j * whole + std::int64_t(double(j) * double(rest) / double(samples_));
    std::size_t source = 0;
    while (sample >= sources_[source].samples()) sample -= sources_[source++].samples();
    return {&sources_[source], sample};
}

void ValidationSet::fill(Batch& batch, std::int64_t first, std::int64_t count) const {
    require(first >= 0 && count >= 0 && count <= samples_ - first, "validation samples [{}, {}) of {}", first,
            first + count, samples_);
    shape_batch(batch, count, sources_.front().shape().sequence_length);
    for (std::int64_t b = 0; b < count; ++b) {
        const auto [source, sample] = place(first + b);
        batch.loss_tokens += source->read(sample, column(batch, b));
    }
}

bool ValidationSet::has_loss_tokens() const {
    for (std::int64_t j = 0; j < samples_; ++j) {
        const auto [source, sample] = place(j);
        if (source->loss_tokens(sample) > 0) return true;
    }
    return false;
}

namespace {

// Error(usage) if no sample has a label. The label of a token is the next token of the same document (if samples are
// packed without mask_documents: of the stream), so a document of one token has no label.
void check_loss_tokens(const TokenDataset& data) {
    for (std::int64_t i = 0; i < data.samples(); ++i)
        if (data.loss_tokens(i) > 0) return;
    fail(ExitCode::usage,
         "{}: found {} training samples of {} token(s), but no sample has a token to predict, so there is no loss: a "
         "document needs two tokens or more; prepare longer documents, raise data.sequence_length, or use "
         "data.mode=packed "
         "without data.mask_documents",
         data.source().prefix(), data.samples(), data.shape().sequence_length);
}

void check_loss_tokens(const ValidationSet& data) {
    if (data.has_loss_tokens()) return;
    fail(ExitCode::usage,
         "{}: found {} validation samples, but no sample has a token to predict, so there is no loss to report: a "
         "document needs two tokens or more; use longer documents in data.valid, raise data.valid_fraction or "
         "evaluation.samples, or turn evaluation off (evaluation.every=0, data.valid_fraction=0)",
         data.sources().front().source().prefix(), data.samples());
}

}  // namespace

RunData open_data(const DataConfig& config, const OpenDataOptions& options) {
    const SampleShape shape{config.mode, config.sequence_length, config.mask_documents, options.vocab_size,
                            config.truncated_end};
    std::vector<std::shared_ptr<const IndexedDataset>> files;
    std::uint64_t fingerprint = 0;
    const auto open = [&](const DataSource& source) {
        files.push_back(std::make_shared<const IndexedDataset>(source.path));
        if (options.vocab_size > 0) files.back()->check_ids(options.vocab_size, options.threads, options.check_tokens);
        fingerprint = mix64(fingerprint ^ files.back()->fingerprint());
        fingerprint = mix64(fingerprint ^ std::bit_cast<std::uint64_t>(source.weight));
        return files.back();
    };
    check_tokenizer_size(config.tokenizer, options.vocab_size);
    if (config.train.empty()) fail(ExitCode::usage, "data.train is empty, expected the prefix of token files");
    std::vector<SampleStream::Source> train;
    std::vector<TokenDataset> valid;
    for (const DataSource& source : config.train) {
        const auto file = open(source);
        const auto [train_range, valid_range] = config.valid.empty() ? split_source(*file, config.valid_fraction, shape)
                                                                     : std::pair{whole_range(*file), TokenRange{}};
        train.push_back({TokenDataset(file, train_range, shape, "training"), source.weight});
        check_loss_tokens(train.back().data);
        if (valid_range.end_token > valid_range.first_token) valid.emplace_back(file, valid_range, shape, "validation");
        fingerprint = mix64(fingerprint ^ std::uint64_t(train_range.end_token));
        // With this token, samples differ from those of versions without truncated_end, and so must the fingerprint.
        if (const auto end = train.back().data.truncated_end_token())
            fingerprint = mix64(fingerprint ^ (std::uint64_t(*end) + 1));
    }
    for (const DataSource& source : config.valid) {
        const auto file = open(source);
        valid.emplace_back(file, whole_range(*file), shape, "validation");
    }
    std::unique_ptr<ValidationSet> held_out;
    if (!valid.empty()) {
        held_out = std::make_unique<ValidationSet>(std::move(valid), options.validation_samples);
        if (options.evaluates) check_loss_tokens(*held_out);
    }
    return {SampleStream(std::move(train), options.seed), std::move(held_out), std::move(files), fingerprint};
}

}  // namespace gpas
