#include "data_fixtures.hpp"
#include "io/data/ngram_baseline.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace gpas::test {
namespace {

RunData open(const DataFolder& folder, const SampleShape& shape, double valid_fraction) {
    DataConfig config;
    config.train = {{folder / "d", 1.0}};
    config.mode = shape.mode;
    config.mask_documents = shape.mask_documents;
    config.sequence_length = shape.sequence_length;
    config.valid_fraction = valid_fraction;
    return open_data(config, {});
}

// Sums of a few hundred terms below 10: rounding stays under 1e3 * 10 * 2^-53 of the sum.
constexpr double rounding = 1e-11;

TEST(NgramBaseline, AgreesWithCountsByHand) {
    const DataFolder folder;
    write_dataset(folder / "d", {{0, 1, 0, 1, 2}, {0, 1, 2}});
    const RunData run = open(folder, {SampleMode::packed, 2, false, 0}, 0.5);
    const NgramBaseline baseline = ngram_baseline(run.train, *run.valid, 3);
    EXPECT_EQ(baseline.train_tokens, 5);
    EXPECT_EQ(baseline.labels, 2);  // 0 -> 1, 1 -> 2
    EXPECT_NEAR(baseline.unigram_nats, -(std::log(3.0 / 8) + std::log(2.0 / 8)) / 2, rounding);
    EXPECT_NEAR(baseline.bigram_nats, -(std::log(3.0 / 5) + std::log(2.0 / 5)) / 2, rounding);
}

TEST(NgramBaseline, AgreesWithAFullTableInEveryMode) {
    const DataFolder folder;
    std::mt19937 random(4);
    Documents documents;
    for (int k = 0; k < 40; ++k) {
        documents.emplace_back();
        for (unsigned i = 0; i < random() % 30; ++i)
            documents.back().push_back(std::int32_t(random() % 7 * (random() % 2)));
    }
    write_dataset(folder / "d", documents);
    constexpr std::int64_t vocab = 9;
    for (const SampleShape& shape :
         {SampleShape{SampleMode::packed, 5, false, 0}, SampleShape{SampleMode::packed, 5, true, 0},
          SampleShape{SampleMode::padded, 8, false, 0}}) {
        const RunData run = open(folder, shape, 0.3);
        double single[vocab] = {}, left[vocab] = {}, pair[vocab][vocab] = {}, total = 0;
        std::int32_t previous = -1;
        for (std::size_t k = 0; k < 28; ++k) {  // 40 - 0.3 * 40
            if (shape.mode == SampleMode::padded || shape.mask_documents) previous = -1;
            for (const std::int32_t id : documents[k]) {
                ++single[id];
                ++total;
                if (previous >= 0) {
                    ++left[previous];
                    ++pair[previous][id];
                }
                previous = id;
            }
        }
        double unigram = 0, bigram = 0;
        Batch batch;
        run.valid->fill(batch, 0, run.valid->samples());
        for (std::size_t i = 0; i < batch.labels.size(); ++i) {
            const std::int32_t a = batch.tokens[i], b = batch.labels[i];
            if (b < 0) continue;
            unigram -= std::log((single[b] + 1) / (total + double(vocab)));
            bigram -= std::log((pair[a][b] + 1) / (left[a] + double(vocab)));
        }
        const NgramBaseline baseline = ngram_baseline(run.train, *run.valid, vocab);
        EXPECT_EQ(baseline.labels, batch.loss_tokens);
        EXPECT_NEAR(baseline.unigram_nats, unigram / double(batch.loss_tokens), rounding);
        EXPECT_NEAR(baseline.bigram_nats, bigram / double(batch.loss_tokens), rounding);
    }
}

TEST(NgramBaseline, RefusesIdsOutsideTheVocabulary) {
    const DataFolder folder;
    write_dataset(folder / "d", {{0, 1, 8, 1, 2}, {0, 1, 2}});
    const RunData run = open(folder, {SampleMode::packed, 2, false, 0}, 0.5);
    EXPECT_CONTAINS(error_of([&] { ngram_baseline(run.train, *run.valid, 3); }), "token id 8");
}

}  // namespace
}  // namespace gpas::test
