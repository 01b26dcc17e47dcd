#include "io/data/token_dataset.hpp"

#include "base/error.hpp"
#include "io/data/document_end.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace gpas {

TokenDataset::TokenDataset(std::shared_ptr<const IndexedDataset> source, const TokenRange& range,
                           const SampleShape& shape, const std::string& role)
    : source_(std::move(source)), range_(range), shape_(shape) {
    const std::int64_t s = shape_.sequence_length;
    require(s >= 1, "samples of {} tokens", s);
    if (shape_.mode == SampleMode::padded) {
        samples_ = range_.end_document - range_.first_document;
        if (samples_ < 1) fail(ExitCode::usage, "{}: the {} part has no document", source_->prefix(), role);
        find_truncated_end();
        return;
    }
    samples_ = std::max<std::int64_t>(0, tokens() - 1) / s;
    if (samples_ < 1) {
        fail(ExitCode::usage,
             "{}: the {} part has {} tokens in {} documents, but one sample takes {}: give it more text, "
             "change data.valid_fraction, or lower data.sequence_length",
             source_->prefix(), role, tokens(), range_.end_document - range_.first_document, s + 1);
    }
}

std::int64_t TokenDataset::read(std::int64_t sample, const SampleOut& out) const {
    require(sample >= 0 && sample < samples_, "{}: sample {} of {}", source_->prefix(), sample, samples_);
    return shape_.mode == SampleMode::packed ? read_packed(sample, out) : read_padded(sample, out);
}

std::int64_t TokenDataset::read_packed(std::int64_t sample, const SampleOut& out) const {
    const std::int64_t s = shape_.sequence_length;
    const std::int64_t first = range_.first_token + sample * s;
    source_->read(first, s, out.tokens, out.stride);
    source_->read(first + 1, s, out.labels, out.stride);
    check_ids(first, s, out.tokens, out.stride);
    check_ids(first + s, 1, out.labels + (s - 1) * out.stride, out.stride);
    if (out.segment_begin != nullptr) {
        for (std::int64_t t = 0; t < s; ++t) out.segment_begin[t * out.stride] = 0;
    }
    if (!shape_.mask_documents) return s;
    for_each_segment(first, [&](std::int64_t begin, std::int64_t end) {
        if (out.segment_begin != nullptr) {
            for (std::int64_t u = begin; u < std::min(end, s); ++u) {
                out.segment_begin[u * out.stride] = std::int32_t(begin);
            }
        }
        if (end <= s) out.labels[(end - 1) * out.stride] = ignored_label;
    });
    return loss_tokens(sample);
}

template <class Body>
void TokenDataset::for_each_segment(std::int64_t first, Body&& body) const {
    std::int64_t k = source_->document_of(first);
    for (std::int64_t t = 0; t < shape_.sequence_length;) {
        // An empty document begins at the same token as the next document.
        while (k < source_->documents() && source_->document_begin(k + 1) - first <= t) ++k;
        const std::int64_t end = source_->document_begin(k + 1) - first;
        body(t, end);
        t = end;
    }
}

std::int64_t TokenDataset::loss_tokens(std::int64_t sample) const {
    const std::int64_t s = shape_.sequence_length;
    if (shape_.mode == SampleMode::padded) {
        const std::int64_t document = range_.first_document + sample;
        const std::int64_t count =
            std::min(s, source_->document_begin(document + 1) - source_->document_begin(document));
        return std::max<std::int64_t>(0, count - 1);
    }
    std::int64_t in_loss = s;
    if (shape_.mask_documents)
        for_each_segment(range_.first_token + sample * s,
                         [&](std::int64_t, std::int64_t end) { in_loss -= end <= s ? 1 : 0; });
    return in_loss;
}

std::int64_t TokenDataset::read_padded(std::int64_t sample, const SampleOut& out) const {
    const std::int64_t s = shape_.sequence_length;
    const std::int64_t document = range_.first_document + sample;
    const std::int64_t first = source_->document_begin(document);
    const std::int64_t count = std::min(s, source_->document_begin(document + 1) - first);
    source_->read(first, count, out.tokens, out.stride);
    check_ids(first, count, out.tokens, out.stride);
    if (truncated_end_token_ && first + s < source_->document_begin(document + 1))
        out.tokens[(s - 1) * out.stride] = *truncated_end_token_;
    for (std::int64_t t = 0; t < s; ++t) {
        if (t >= count) out.tokens[t * out.stride] = padding_token;
        out.labels[t * out.stride] = t + 1 < count ? out.tokens[(t + 1) * out.stride] : ignored_label;
        if (out.segment_begin != nullptr) out.segment_begin[t * out.stride] = 0;
    }
    return loss_tokens(sample);
}

void TokenDataset::find_truncated_end() {
    for (std::int64_t k = range_.first_document; k < range_.end_document && !truncates_; ++k)
        truncates_ = source_->document_begin(k + 1) - source_->document_begin(k) > shape_.sequence_length;
    if (!truncates_ || shape_.truncated_end == TruncatedEnd::text) return;
    truncated_end_token_ = end_of_document_token(*source_);
    if (shape_.truncated_end == TruncatedEnd::eos && !truncated_end_token_)
        fail(ExitCode::usage,
             "{}: data.truncated_end is eos, but the documents of this file do not end with EOS (one token that "
             "occurs nowhere else in them); prepare the file with EOS (the default of gpas prepare), or write "
             "data.truncated_end: text",
             source_->prefix());
}

void TokenDataset::check_ids(std::int64_t first, std::int64_t count, const std::int32_t* ids,
                             std::int64_t stride) const {
    if (shape_.vocab_size == 0) return;
    for (std::int64_t t = 0; t < count; ++t) {
        const std::int32_t id = ids[t * stride];
        if (id < 0 || id >= shape_.vocab_size) source_->fail_bad_id(first + t, shape_.vocab_size);
    }
}

TokenRange whole_range(const IndexedDataset& source) { return {0, source.documents(), 0, source.tokens()}; }

std::pair<TokenRange, TokenRange> split_source(const IndexedDataset& source, double valid_fraction,
                                               const SampleShape& shape) {
    if (!(valid_fraction >= 0 && valid_fraction < 1)) {
        fail(ExitCode::usage, "data.valid_fraction is {}, expected at least 0 and less than 1", valid_fraction);
    }
    TokenRange train = whole_range(source), valid = train;
    if (valid_fraction == 0) {
        valid.first_document = valid.end_document;
        valid.first_token = valid.end_token;
        return {train, valid};
    }
    const std::int64_t documents = source.documents();
    if (documents >= 2) {
        const auto wanted = std::int64_t(std::llround(valid_fraction * double(documents)));
        const std::int64_t cut = documents - std::clamp<std::int64_t>(wanted, 1, documents - 1);
        train.end_document = valid.first_document = cut;
        train.end_token = valid.first_token = source.document_begin(cut);
        return {train, valid};
    }
    if (shape.mode == SampleMode::padded) {
        fail(ExitCode::usage,
             "{}: has {} document, too few for a validation part: prepare it with several documents, or "
             "name separate files in data.valid",
             source.prefix(), documents);
    }
    const auto wanted = std::int64_t(std::llround(valid_fraction * double(source.tokens())));
    const std::int64_t count = std::min(source.tokens(), std::max(wanted, shape.sequence_length + 1));
    train.end_token = valid.first_token = source.tokens() - count;
    return {train, valid};
}

}  // namespace gpas
