// The loss of unigram and bigram models of the training tokens. A model that has learnt more than frequencies of tokens
// and pairs has a lower loss.
#pragma once

#include "io/data/batch.hpp"

#include <cstdint>

namespace gpas {

struct NgramBaseline {
    double unigram_nats = 0;        // cross-entropy per label
    double bigram_nats = 0;         // cross-entropy per label
    std::int64_t train_tokens = 0;  // over which frequencies were counted
    std::int64_t labels = 0;        // loss tokens of the validation samples
};

// Counts cover the training parts of all sources, each token once, regardless of its source's weight. The loss covers
// exactly the labels of an evaluation of `valid`. Add-one smoothing, V = vocab_size:
//     unigram  p(b)     = (count(b) + 1) / (count + V)
//     bigram   p(b | a) = (count(a b) + 1) / (count(a as a left neighbour) + V)
// As in the samples, pairs cross document boundaries if samples are packed without mask_documents, and otherwise do
// not. Only the pairs that occur in `valid` are counted, so memory is bounded by the vocabulary and the size of the
// validation set.
NgramBaseline ngram_baseline(const SampleStream& train, const ValidationSet& valid, std::int64_t vocab_size);

}  // namespace gpas
