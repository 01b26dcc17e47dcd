#include "engine/run/generate.hpp"
#include "tests/support/models.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace gpas {
namespace {

using namespace testing_models;

const std::vector<float> logits{1.0F, 3.0F, 2.0F, 3.0F, -1.0F};

TEST(SampleToken, temperature_zero_takes_the_likeliest_and_the_lower_id_of_two) {
    for (const double u : {0.0, 0.5, 0.999}) EXPECT_EQ(sample_token(logits, {.temperature = 0.0}, u), 1);
}

TEST(SampleToken, follows_the_softmax) {
    std::vector<double> share(logits.size(), 0.0);
    constexpr int draws = 20000;
    for (int i = 0; i < draws; ++i)
        share[std::size_t(sample_token(logits, {.temperature = 2.0}, (i + 0.5) / draws))] += 1.0 / draws;
    double sum = 0.0;
    for (const float x : logits) sum += std::exp(double(x) / 2.0);
    for (std::size_t i = 0; i < logits.size(); ++i)  // u is a regular grid: each share is off by one cell at most
        EXPECT_NEAR(share[i], std::exp(double(logits[i]) / 2.0) / sum, 1.01 / draws);
}

TEST(SampleToken, top_k_and_top_p_leave_the_rest_out) {
    for (int i = 0; i < 100; ++i) {
        const double u = (i + 0.5) / 100;
        const std::int32_t k = sample_token(logits, {.temperature = 5.0, .top_k = 2}, u);
        EXPECT_TRUE(k == 1 || k == 3);
        const std::int32_t p = sample_token(logits, {.top_p = 0.5}, u);  // 1 and 3 have 0.41 each
        EXPECT_TRUE(p == 1 || p == 3);
        EXPECT_EQ(sample_token(logits, {.top_p = 0.3}, u), 1);
    }
}

std::unique_ptr<Replica> generator() {
    ModelConfig model = small_model(Architecture::pre_gpas);
    auto replica = std::make_unique<Replica>(model, OptimizerConfig{},
                                             ModelShape{.batch = 1, .sequence = 8, .training = false}, 1);
    set_test_weights(*replica);
    return replica;
}

TEST(Generate, continues_as_the_reference_model_would_also_past_the_window) {
    const auto replica = generator();
    const std::vector<std::int32_t> prompt{3, 7, 1};
    const std::vector<std::int32_t> tokens = generate(*replica, prompt, 12, -1, {.temperature = 0.0});
    ASSERT_EQ(tokens.size(), 12U);
    // The likeliest next token of the reference has the smallest loss.
    const ModelConfig model = small_model(Architecture::pre_gpas);
    reference::Model reference = reference_model(model);
    std::vector<std::int32_t> all = prompt;
    for (const std::int32_t token : tokens) {
        const std::size_t length = std::min<std::size_t>(8, all.size());
        reference::Rows rows{.batch = 1, .sequence = std::int64_t(length)};
        rows.tokens.assign(all.end() - std::ptrdiff_t(length), all.end());
        rows.labels.assign(length, -1);
        rows.segment_begin.assign(length, 0);
        std::int32_t best = 0;
        double smallest = 1e300;
        for (std::int32_t candidate = 0; candidate < model.vocab_size; ++candidate) {
            rows.labels.back() = candidate;
            const double loss = reference.loss(rows);
            if (loss >= smallest) continue;
            smallest = loss;
            best = candidate;
        }
        EXPECT_EQ(token, best);
        all.push_back(token);
    }
}

TEST(Generate, gives_only_ids_that_the_tokenizer_has) {
    const auto replica = generator();
    const std::vector<std::int32_t> prompt{1};
    const auto largest = [&](std::int64_t vocab_size) {
        const auto tokens = generate(*replica, prompt, 60, -1, {.temperature = 50.0, .vocab_size = vocab_size});
        return *std::max_element(tokens.begin(), tokens.end());
    };
    EXPECT_GE(largest(0), 4);
    EXPECT_LT(largest(4), 4);
    EXPECT_EQ(largest(1000), largest(0));  // a tokenizer cannot add rows
}

TEST(Generate, repeats_itself_for_a_seed_and_ends_at_the_end_token) {
    const auto replica = generator();
    const std::vector<std::int32_t> prompt{5};
    const SamplingOptions options{.temperature = 3.0, .seed = 11};
    const auto tokens = generate(*replica, prompt, 30, -1, options);
    EXPECT_EQ(generate(*replica, prompt, 30, -1, options), tokens);
    EXPECT_NE(generate(*replica, prompt, 30, -1, {.temperature = 3.0, .seed = 12}), tokens);
    const auto cut = generate(*replica, prompt, 30, tokens[4], options);
    EXPECT_LE(cut.size(), 4U);
    EXPECT_TRUE(std::equal(cut.begin(), cut.end(), tokens.begin()));
}

}  // namespace
}  // namespace gpas
