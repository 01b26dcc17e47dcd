#include "io/data/ngram_baseline.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <vector>

namespace gpas {
namespace {

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
    return std::uint64_t(std::uint32_t(left)) << 32 | std::uint32_t(right);
}

struct PairCount {
    std::int64_t train = 0, valid = 0;
};

class Counter {
public:
    Counter(const ValidationSet& valid, std::int64_t vocab_size)
        : single_(std::size_t(vocab_size)), left_(std::size_t(vocab_size)), valid_single_(std::size_t(vocab_size)) {
        Batch batch;
        for (std::int64_t i = 0; i < valid.samples(); ++i) {
            valid.fill(batch, i, 1);
            for (std::size_t t = 0; t < batch.tokens.size(); ++t) {
                if (batch.labels[t] < 0) continue;
                check(batch.tokens[t]);
                check(batch.labels[t]);
                ++valid_single_[std::size_t(batch.labels[t])];
                ++pairs_[pair_key(batch.tokens[t], batch.labels[t])].valid;
                ++labels_;
            }
        }
    }

    void count(const TokenDataset& data) {
        const TokenRange& range = data.range();
        const SampleShape& shape = data.shape();
        const bool across = shape.mode == SampleMode::packed && !shape.mask_documents;
        if (across) {
            count_run(data.source(), range.first_token, range.end_token);
            return;
        }
        for (std::int64_t k = range.first_document; k < range.end_document; ++k) {
            count_run(data.source(), std::max(data.source().document_begin(k), range.first_token),
                      std::min(data.source().document_begin(k + 1), range.end_token));
        }
    }

    NgramBaseline result() const {
        const double v = double(single_.size());
        double unigram = 0, bigram = 0;
        for (std::size_t id = 0; id < single_.size(); ++id) {
            unigram += double(valid_single_[id]) * std::log((double(total_) + v) / double(single_[id] + 1));
        }
        for (const auto& [key, pair] : pairs_) {
            const double left = double(left_[std::size_t(key >> 32)]);
            bigram += double(pair.valid) * std::log((left + v) / double(pair.train + 1));
        }
        const double labels = double(std::max<std::int64_t>(1, labels_));
        return {unigram / labels, bigram / labels, total_, labels_};
    }

private:
    void check(std::int32_t id) const {
        if (id < 0 || id >= std::int64_t(single_.size())) {
            fail(ExitCode::bad_file, "token id {} is outside the vocabulary of {}", id, single_.size());
        }
    }

    void count_run(const IndexedDataset& source, std::int64_t begin, std::int64_t end) {
        constexpr std::int64_t block = 1 << 16;
        std::vector<std::int32_t> ids(static_cast<std::size_t>(block));
        std::int32_t left = -1;
        for (; begin < end; begin += block) {
            const std::int64_t count = std::min(block, end - begin);
            source.read(begin, count, ids.data());
            for (std::int64_t i = 0; i < count; ++i) {
                const std::int32_t id = ids[std::size_t(i)];
                check(id);
                ++single_[std::size_t(id)];
                if (left >= 0) {
                    ++left_[std::size_t(left)];
                    const auto pair = pairs_.find(pair_key(left, id));
                    if (pair != pairs_.end()) ++pair->second.train;
                }
                left = id;
            }
            total_ += count;
        }
    }

    std::vector<std::int64_t> single_, left_, valid_single_;
    std::unordered_map<std::uint64_t, PairCount> pairs_;
    std::int64_t total_ = 0, labels_ = 0;
};

}  // namespace

NgramBaseline ngram_baseline(const SampleStream& train, const ValidationSet& valid, std::int64_t vocab_size) {
    Counter counter(valid, vocab_size);
    for (const auto& source : train.sources()) counter.count(source.data);
    return counter.result();
}

}  // namespace gpas
