// The loss of unigram and bigram models of the same tokens: a model that has learnt more than counts is below it.
#pragma once

#include "io/data/batch.hpp"

#include <cstdint>

namespace gpas {

struct NgramBaseline {
    double unigram_nats = 0;  // cross-entropy per label
    double bigram_nats = 0;
    std::int64_t train_tokens = 0;  // counted
    std::int64_t labels = 0;        // of the validation samples, those in the loss
};

// Counts are taken over the training parts of all sources, each token once whatever its source's weight; the loss over
// exactly the labels that an evaluation of `valid` takes. Add-one smoothing, V = vocab_size:
//     unigram  p(b)     = (count(b) + 1) / (count + V)
//     bigram   p(b | a) = (count(a b) + 1) / (count(a as a left neighbour) + V)
// Pairs follow the samples' rule: across documents when packed, inside of them when padded or with mask_documents. Only
// the pairs that occur in `valid` are counted, so memory is bounded by the vocabulary and the size of the validation
// set.
NgramBaseline ngram_baseline(const SampleStream& train, const ValidationSet& valid, std::int64_t vocab_size);

}  // namespace gpas
