#include "base/error.hpp"
#include "data_fixtures.hpp"
#include "io/data/batch.hpp"
#include "io/data/document_end.hpp"
#include "io/data/tokenizer_training.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <thread>
#include <tuple>

namespace gpas::test {
namespace {

using Ids = std::vector<std::int32_t>;

struct Sample {
    Ids tokens, labels, segment_begin;
    std::int64_t in_loss;
};

Sample read(const TokenDataset& data, std::int64_t i) {
    const auto s = std::size_t(data.shape().sequence_length);
    Sample sample{Ids(s), Ids(s), Ids(s), 0};
    sample.in_loss = data.read(i, {sample.tokens.data(), sample.labels.data(), sample.segment_begin.data(), 1});
    return sample;
}

// Documents of the given lengths whose ids count 0, 1, 2, ... through the whole file.
Documents counting(const std::vector<std::int64_t>& lengths) {
    Documents documents;
    std::int32_t next = 0;
    for (const std::int64_t length : lengths) {
        documents.emplace_back(std::size_t(length));
        std::iota(documents.back().begin(), documents.back().end(), next);
        next += std::int32_t(length);
    }
    return documents;
}

class TokenSamples : public testing::Test {
protected:
    std::shared_ptr<const IndexedDataset> source(const std::vector<std::int64_t>& lengths,
                                                 const std::string& name = "d") {
        write_dataset(folder / name, counting(lengths));
        return std::make_shared<const IndexedDataset>(folder / name);
    }
    TokenDataset whole(const std::vector<std::int64_t>& lengths, const SampleShape& shape) {
        const auto file = source(lengths);
        return TokenDataset(file, whole_range(*file), shape, "training");
    }
    DataFolder folder;
};

TEST_F(TokenSamples, PackedSamplesShareOneTokenAndCoverTheStream) {
    const TokenDataset data = whole({3, 1, 6, 4}, {SampleMode::packed, 4, false, 0});
    ASSERT_EQ(data.samples(), 3);  // (14 - 1) / 4
    for (std::int32_t i = 0; i < 3; ++i) {
        const Sample sample = read(data, i);
        EXPECT_EQ(sample.tokens, (Ids{4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3}));
        EXPECT_EQ(sample.labels, (Ids{4 * i + 1, 4 * i + 2, 4 * i + 3, 4 * i + 4}));
        EXPECT_EQ(sample.segment_begin, (Ids{0, 0, 0, 0}));
        EXPECT_EQ(sample.in_loss, 4);
    }
}

TEST_F(TokenSamples, ExactlyOneSampleNeedsOneTokenMoreThanItsLength) {
    EXPECT_EQ(whole({5}, {SampleMode::packed, 4, false, 0}).samples(), 1);
    EXPECT_CONTAINS(error_of([&] { whole({4}, {SampleMode::packed, 4, false, 0}); }, ExitCode::usage),
                    "has 4 tokens in 1 documents, but one sample takes 5");
}

TEST_F(TokenSamples, MaskedDocumentsEndTheLossAndTheReachOfAttention) {
    const TokenDataset data = whole({3, 1, 0, 6, 0, 4}, {SampleMode::packed, 4, true, 0});
    const Sample first = read(data, 0);  // 0 1 2 | 3 |
    EXPECT_EQ(first.labels, (Ids{1, 2, -1, -1}));
    EXPECT_EQ(first.segment_begin, (Ids{0, 0, 0, 3}));
    EXPECT_EQ(first.in_loss, 2);
    const Sample second = read(data, 1);  // 4 5 6 7
    EXPECT_EQ(second.labels, (Ids{5, 6, 7, 8}));
    EXPECT_EQ(second.segment_begin, (Ids{0, 0, 0, 0}));
    const Sample third = read(data, 2);  // 8 9 | 10 11
    EXPECT_EQ(third.labels, (Ids{9, -1, 11, 12}));
    EXPECT_EQ(third.segment_begin, (Ids{0, 0, 2, 2}));
    EXPECT_EQ(third.in_loss, 3);
}

// The slow and obvious version: document ids token by token.
TEST_F(TokenSamples, MasksAgreeWithATokenByTokenReference) {
    const std::vector<std::int64_t> lengths{1, 0, 7, 2, 2, 0, 0, 19, 1, 1, 1, 5, 0, 30, 3};
    std::vector<std::int32_t> document_of;
    for (std::size_t k = 0; k < lengths.size(); ++k)
        document_of.insert(document_of.end(), std::size_t(lengths[k]), int(k));
    for (const std::int64_t s : {1, 2, 3, 5, 8, 24, 71}) {
        const TokenDataset data = whole(lengths, {SampleMode::packed, s, true, 0});
        for (std::int64_t i = 0; i < data.samples(); ++i) {
            const Sample sample = read(data, i);
            for (std::int64_t t = 0; t < s; ++t) {
                const auto at = std::size_t(i * s + t);
                std::int64_t begin = t;
                while (begin > 0 && document_of[at] == document_of[std::size_t(i * s + begin - 1)]) --begin;
                EXPECT_EQ(sample.segment_begin[std::size_t(t)], begin);
                EXPECT_EQ(sample.labels[std::size_t(t)], document_of[at] == document_of[at + 1] ? int(at + 1) : -1);
            }
        }
    }
}

TEST_F(TokenSamples, PaddedSamplesAreDocumentsCutOrFilledUp) {
    const TokenDataset data = whole({2, 6, 0, 4, 1}, {SampleMode::padded, 4, false, 0});
    ASSERT_EQ(data.samples(), 5);
    EXPECT_EQ(read(data, 0).tokens, (Ids{0, 1, 0, 0}));
    EXPECT_EQ(read(data, 0).labels, (Ids{1, -1, -1, -1}));
    EXPECT_EQ(read(data, 1).tokens, (Ids{2, 3, 4, 5}));
    EXPECT_EQ(read(data, 1).labels, (Ids{3, 4, 5, -1}));  // as the reference: no label behind the cut
    EXPECT_EQ(read(data, 2).labels, (Ids{-1, -1, -1, -1}));
    EXPECT_EQ(read(data, 3).labels, (Ids{9, 10, 11, -1}));
    EXPECT_EQ(read(data, 4).in_loss, 0);
    EXPECT_EQ(read(data, 1).in_loss, 3);
}

TEST_F(TokenSamples, ATruncatedDocumentEndsWithEosIfTheFileHasOne) {
    const auto file = [&](const Documents& documents) {
        write_dataset(folder / "e", documents);
        return std::make_shared<const IndexedDataset>(folder / "e");
    };
    const auto tokens = [](const std::shared_ptr<const IndexedDataset>& source, TruncatedEnd end, std::int64_t i) {
        return read(TokenDataset(source, whole_range(*source), {SampleMode::padded, 4, false, 0, end}, "training"), i);
    };
    const auto with_eos = file({{3, 4, 5, 6, 7, 1}, {8, 1}, {}, {3, 4, 5, 1}, {9, 8, 7, 6, 1}});
    EXPECT_EQ(end_of_document_token(*with_eos), 1);
    for (const TruncatedEnd end : {TruncatedEnd::automatic, TruncatedEnd::eos}) {
        EXPECT_EQ(tokens(with_eos, end, 0).tokens, (Ids{3, 4, 5, 1}));
        EXPECT_EQ(tokens(with_eos, end, 0).labels, (Ids{4, 5, 1, -1}));
        EXPECT_EQ(tokens(with_eos, end, 0).in_loss, 3);
        EXPECT_EQ(tokens(with_eos, end, 1).tokens, (Ids{8, 1, 0, 0}));
        EXPECT_EQ(tokens(with_eos, end, 3).tokens, (Ids{3, 4, 5, 1}));  // just as long as a sample
        EXPECT_EQ(tokens(with_eos, end, 4).tokens, (Ids{9, 8, 7, 1}));
    }
    EXPECT_EQ(tokens(with_eos, TruncatedEnd::text, 0).tokens, (Ids{3, 4, 5, 6}));
    EXPECT_EQ(tokens(with_eos, TruncatedEnd::text, 0).labels, (Ids{4, 5, 6, -1}));

    // Other last tokens; one that also stands inside; a single document, whose last token says nothing.
    for (const Documents& documents : {Documents{{3, 4, 5, 6, 7}, {8, 1}}, Documents{{3, 1, 5, 6, 1}, {8, 1}},
                                       Documents{{3, 4, 5, 6, 1}}, Documents{{}, {3, 4, 5, 6, 1}}}) {
        const auto without = file(documents);
        EXPECT_EQ(end_of_document_token(*without), std::nullopt);
        const std::int64_t cut = documents.front().empty() ? 1 : 0;
        EXPECT_EQ(tokens(without, TruncatedEnd::automatic, cut).tokens,
                  Ids(documents[std::size_t(cut)].begin(), documents[std::size_t(cut)].begin() + 4));
        EXPECT_CONTAINS(error_of([&] { tokens(without, TruncatedEnd::eos, cut); }, ExitCode::usage),
                        "data.truncated_end is eos, but the documents of this file do not end with EOS");
    }
    // Nothing is cut: the setting can be met.
    const auto uncut = file({{3, 4, 5, 6}, {8, 1}});
    EXPECT_EQ(tokens(uncut, TruncatedEnd::eos, 0).tokens, (Ids{3, 4, 5, 6}));
}

TEST_F(TokenSamples, AnIdOutsideTheVocabularyIsRefusedWhereItIsRead) {
    const TokenDataset data = whole({20}, {SampleMode::packed, 4, false, 13});
    read(data, 2);  // 8 to 11, with 12 as the last label
    EXPECT_CONTAINS(error_of([&] { read(data, 3); }), "byte 26: token 13 has the id 13, outside the vocabulary of 13");
    const TokenDataset tight = whole({20}, {SampleMode::packed, 4, false, 12});
    EXPECT_CONTAINS(error_of([&] { read(tight, 2); }), "token 12 has the id 12");  // the label counts too
}

TEST_F(TokenSamples, TheValidationPartIsTheLastDocuments) {
    const auto file = source({5, 5, 5, 5, 5, 5, 5, 5, 5, 10});
    const SampleShape shape{SampleMode::packed, 4, false, 0};
    const auto [train, valid] = split_source(*file, 0.2, shape);
    EXPECT_EQ(train.end_document, 8);
    EXPECT_EQ(valid.first_token, 40);
    EXPECT_EQ(valid.end_token, 55);
    EXPECT_EQ(split_source(*file, 0.001, shape).second.first_document, 9);  // at least one
    EXPECT_EQ(split_source(*file, 0.9999, shape).first.end_document, 1);    // never all
    EXPECT_EQ(split_source(*file, 0, shape).first.end_token, 55);
    EXPECT_EQ(read(TokenDataset(file, valid, shape, "validation"), 0).tokens, (Ids{40, 41, 42, 43}));
}

TEST_F(TokenSamples, ASingleDocumentIsCutBetweenTokensWhenPackedAndRefusedWhenPadded) {
    const auto file = source({100});
    const auto [train, valid] = split_source(*file, 0.2, {SampleMode::packed, 4, false, 0});
    EXPECT_EQ(train.end_token, 80);
    EXPECT_EQ(valid.first_token, 80);
    EXPECT_EQ(split_source(*file, 0.001, {SampleMode::packed, 4, false, 0}).second.first_token, 95);
    EXPECT_CONTAINS(error_of([&] { split_source(*file, 0.2, {SampleMode::padded, 4, false, 0}); }, ExitCode::usage),
                    "has 1 document, too few");
}

class Streams : public TokenSamples {
protected:
    SampleStream stream(std::uint64_t seed) {
        const SampleShape shape{SampleMode::packed, 4, true, 0};
        std::vector<SampleStream::Source> sources;
        for (const auto& [name, lengths, weight] : {std::tuple{"a", std::vector<std::int64_t>{30, 11}, 0.7},
                                                    std::tuple{"b", std::vector<std::int64_t>{9, 13}, 0.3}}) {
            const auto file = source(lengths, name);
            sources.push_back({TokenDataset(file, whole_range(*file), shape, "training"), weight});
        }
        return SampleStream(std::move(sources), seed);
    }
};

Ids column(const Ids& values, std::int64_t samples, std::int64_t b) {
    Ids result;
    for (std::size_t i = std::size_t(b); i < values.size(); i += std::size_t(samples)) result.push_back(values[i]);
    return result;
}

TEST_F(Streams, BatchesAreSequenceFirst) {
    const SampleStream train = stream(1);
    Batch batch;
    train.fill(batch, 5, 3);
    ASSERT_EQ(batch.tokens.size(), 12u);
    std::int64_t in_loss = 0;
    for (std::int64_t b = 0; b < 3; ++b) {
        const auto place = train.place(5 + b);
        const Sample sample = read(train.sources()[std::size_t(place.source)].data, place.sample);
        EXPECT_EQ(column(batch.tokens, 3, b), sample.tokens);
        EXPECT_EQ(column(batch.labels, 3, b), sample.labels);
        EXPECT_EQ(column(batch.segment_begin, 3, b), sample.segment_begin);
        in_loss += sample.in_loss;
    }
    EXPECT_EQ(batch.loss_tokens, in_loss);
    EXPECT_EQ(in_loss, std::count_if(batch.labels.begin(), batch.labels.end(), [](int label) { return label >= 0; }));
}

TEST_F(Streams, TheOrderDoesNotDependOnHowBatchesAreCut) {
    const SampleStream train = stream(1);
    Batch whole_batch, part;
    train.fill(whole_batch, 0, 60);
    for (const std::int64_t size : {1, 7, 20}) {
        for (std::int64_t first = 0; first + size <= 60; first += size) {
            train.fill(part, first, size);
            for (std::int64_t b = 0; b < size; ++b) {
                EXPECT_EQ(column(part.tokens, size, b), column(whole_batch.tokens, 60, first + b));
            }
        }
    }
}

TEST_F(Streams, EveryEpochOfASourceTakesEachSampleOnceInAnOrderOfItsOwn) {
    const SampleStream train = stream(1);
    std::map<std::pair<std::int64_t, std::int64_t>, std::vector<std::int64_t>> epochs;
    for (std::int64_t k = 0; k < 100; ++k) {
        const auto place = train.place(k);
        epochs[{place.source, place.epoch}].push_back(place.sample);
    }
    std::set<std::vector<std::int64_t>> orders;
    int complete = 0;
    for (const auto& [key, samples] : epochs) {
        const std::int64_t per_epoch = train.sources()[std::size_t(key.first)].data.samples();
        if (std::int64_t(samples.size()) < per_epoch) continue;  // the last one of a source
        EXPECT_EQ(std::set(samples.begin(), samples.end()).size(), std::size_t(per_epoch));
        orders.insert(samples);
        ++complete;
    }
    EXPECT_EQ(complete, 7 + 6);  // 70 samples in epochs of 10, 30 in epochs of 5
    EXPECT_GT(orders.size(), 11u);
}

TEST_F(Streams, AnotherSeedIsAnotherOrder) {
    Batch one, other;
    stream(1).fill(one, 0, 40);
    stream(2).fill(other, 0, 40);
    EXPECT_NE(one.tokens, other.tokens);
}

TEST_F(Streams, FillingFromManyThreadsGivesTheSameBatches) {
    const SampleStream train = stream(1);
    std::vector<Batch> serial(16), parallel(16);
    for (std::size_t i = 0; i < 16; ++i) train.fill(serial[i], std::int64_t(i) * 9, 9);
    {
        std::vector<std::jthread> pool;
        for (std::size_t i = 0; i < 16; ++i)
            pool.emplace_back([&, i] { train.fill(parallel[i], std::int64_t(i) * 9, 9); });
    }
    for (std::size_t i = 0; i < 16; ++i) EXPECT_EQ(serial[i].tokens, parallel[i].tokens);
}

TEST_F(Streams, ValidationVisitsEverySampleInOrderOrAnEvenSpread) {
    const SampleShape shape{SampleMode::packed, 4, false, 0};
    const auto sources = [&] {
        std::vector<TokenDataset> result;
        for (const char* name : {"a", "b"}) {
            const auto file = source({41}, name);
            result.emplace_back(file, whole_range(*file), shape, "validation");
        }
        return result;
    };
    const auto first_tokens = [](const ValidationSet& set) {
        Batch batch;
        set.fill(batch, 0, set.samples());
        return Ids(batch.tokens.begin(), batch.tokens.begin() + batch.samples);
    };
    Ids all;
    for (int repeat = 0; repeat < 2; ++repeat) {
        for (int i = 0; i < 10; ++i) all.push_back(4 * i);
    }
    EXPECT_EQ(first_tokens(ValidationSet(sources())), all);
    EXPECT_EQ(first_tokens(ValidationSet(sources(), 100)), all);
    EXPECT_EQ(first_tokens(ValidationSet(sources(), 4)), (Ids{0, 20, 0, 20}));
    EXPECT_EQ(first_tokens(ValidationSet(sources(), 19)).size(), 19u);
    Batch batch;
    EXPECT_THROW(ValidationSet(sources(), 4).fill(batch, 3, 2), Error);
}

TEST_F(Streams, OpenDataSplitsChecksAndFingerprints) {
    source({30, 30, 30}, "a");
    source({20, 20}, "b");
    DataConfig config;
    config.sequence_length = 4;
    config.train = {{folder / "a", 2.0}};
    config.valid_fraction = 0.01;
    OpenDataOptions options;
    options.vocab_size = 90;
    const RunData run = open_data(config, options);
    EXPECT_EQ(run.train.sources()[0].data.tokens(), 60);
    ASSERT_NE(run.valid, nullptr);
    EXPECT_EQ(run.valid->samples(), 7);

    DataConfig separate = config;
    separate.valid = {{folder / "b", 1.0}};
    EXPECT_EQ(open_data(separate, options).train.sources()[0].data.tokens(), 90);
    EXPECT_EQ(open_data(separate, options).valid->samples(), 9);
    DataConfig none = config;
    none.valid_fraction = 0;
    EXPECT_EQ(open_data(none, options).valid, nullptr);
    EXPECT_EQ(open_data(config, options).fingerprint, run.fingerprint);
    EXPECT_NE(open_data(separate, options).fingerprint, run.fingerprint);
    EXPECT_NE(open_data(none, options).fingerprint, run.fingerprint);

    // The fingerprint covers the end of truncated documents, if one is put there.
    write_dataset(folder / "e", {{3, 4, 5, 6, 7, 1}, {8, 1}});
    DataConfig padded;
    padded.train = {{folder / "e", 1.0}};
    padded.mode = SampleMode::padded;
    padded.valid_fraction = 0;
    padded.sequence_length = 4;
    DataConfig text = padded, longer = padded, longer_text = padded;
    text.truncated_end = longer_text.truncated_end = TruncatedEnd::text;
    longer.sequence_length = longer_text.sequence_length = 6;
    EXPECT_NE(open_data(padded, options).fingerprint, open_data(text, options).fingerprint);
    EXPECT_EQ(open_data(longer, options).fingerprint, open_data(longer_text, options).fingerprint);

    options.vocab_size = 80;
    EXPECT_CONTAINS(error_of([&] { open_data(config, options); }), "token 80 has the id 80");
    config.train.clear();
    error_of([&] { open_data(config, options); }, ExitCode::usage);
}

TEST_F(Streams, DataWithoutATokenToPredictAreRefused) {
    source({1, 1, 1, 1, 1, 1, 1, 1}, "ones");
    source({1, 1, 5, 1, 1, 1, 1, 1}, "one_of_five");
    source({40, 40}, "long");
    DataConfig config;
    config.sequence_length = 4;
    const auto train_on = [&](const char* name, const char* valid = "long") {
        config.train = {{folder / "long", 1.0}, {folder / name, 1.0}};
        config.valid = {{folder / valid, 1.0}};
        open_data(config, {});
    };
    config.mode = SampleMode::padded;
    EXPECT_CONTAINS(error_of([&] { train_on("ones"); }, ExitCode::usage),
                    "ones: found 8 training samples of 4 token(s), but no sample has a token to predict");
    EXPECT_CONTAINS(error_of([&] { train_on("long", "ones"); }, ExitCode::usage),
                    "found 8 validation samples, but no sample has a token to predict");
    train_on("one_of_five", "one_of_five");
    config.sequence_length = 1;
    error_of([&] { train_on("long"); }, ExitCode::usage);
    config.mode = SampleMode::packed;
    train_on("ones", "ones");
    config.sequence_length = 4;
    train_on("ones", "ones");
    config.mask_documents = true;
    EXPECT_CONTAINS(error_of([&] { train_on("ones"); }, ExitCode::usage),
                    "ones: found 1 training samples of 4 token(s), but no sample has a token to predict");
    train_on("one_of_five", "one_of_five");

    // What evaluation.samples picks counts; not what there is. And only if there is an evaluation.
    config.mode = SampleMode::padded;
    config.mask_documents = false;
    config.train = {{folder / "long", 1.0}};
    config.valid = {{folder / "one_of_five", 1.0}};
    EXPECT_CONTAINS(error_of([&] { open_data(config, {.validation_samples = 1}); }, ExitCode::usage),
                    "found 1 validation samples, but no sample has a token to predict");
    open_data(config, {.validation_samples = 1, .evaluates = false});
}

TEST(OpenData, RefusesATokenizerWithMorePiecesThanTheModel) {
    const DataFolder folder;
    bool given = false;
    write_bytes(folder / "t.model", train_tokenizer({TokenizerType::bpe, 285}, [&](std::string& text) {
                    text = "the cat sat on the mat and never stopped walking through her garden";
                    return !std::exchange(given, true);
                }));
    write_dataset(folder / "tokens", Documents(4, std::vector<std::int32_t>(20, 5)));
    DataConfig config;
    config.train = {{folder / "tokens", 1.0}};
    config.tokenizer = folder / "t.model";
    config.sequence_length = 8;
    EXPECT_CONTAINS(error_of([&] { open_data(config, {.vocab_size = 284}); }, ExitCode::usage),
                    "t.model has 285 pieces, but model.vocab_size is 284");
    EXPECT_NO_THROW(open_data(config, {.vocab_size = 285}));
    EXPECT_NO_THROW(open_data(config, {.vocab_size = 512}));
}

}  // namespace
}  // namespace gpas::test
