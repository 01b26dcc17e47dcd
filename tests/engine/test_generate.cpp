#include "engine/run/generate.hpp"

#include "base/error.hpp"
#include "tests/support/models.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace gpas {
namespace {

using namespace testing_models;

std::size_t at(std::int64_t i) { return std::size_t(i); }

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

constexpr std::int64_t window = 8;
const bool emulated = test_support::test_device == Device::cuda;  // some 50 times as slow: fewer cases
using Counts = std::vector<std::int64_t>;

std::unique_ptr<TestReplica> generator(const ModelConfig& model, Dtype dtype) {
    return std::make_unique<TestReplica>(
        model, ModelShape{.batch = 1, .sequence = window, .dtype = dtype, .training = false}, 2);
}

std::unique_ptr<TestReplica> generator(Architecture architecture = Architecture::pre_gpas, Dtype dtype = Dtype::fp32,
                                       std::int64_t kv_heads = 2, std::int64_t sliding_window = 0) {
    ModelConfig model = small_model(architecture);
    model.kv_heads = kv_heads;
    model.sliding_window = sliding_window;
    return generator(model, dtype);
}

// Continues one text on one rank.
std::vector<std::int32_t> continue_text(Replica& replica, const Prompt& prompt, std::int64_t count, std::int32_t end,
                                        const SamplingOptions& sampling,
                                        const std::function<void(std::int32_t)>& on_token = {}) {
    Mesh mesh = make_self_mesh();
    NextLogits next(replica, mesh);
    GenerationOptions options{.count = count, .ends = {}, .sampling = sampling, .on_token = {}};
    if (end >= 0) options.ends = {end};
    if (on_token) options.on_token = [&](std::size_t, std::int32_t token) { on_token(token); };
    return generate(next, {prompt}, options).front();
}

// Logits of the token after `all`, by a forward pass of the whole window.
std::vector<float> recomputed_logits(Replica& replica, const std::vector<std::int32_t>& all) {
    std::vector<std::int32_t> seen(at(window), 0);
    const std::int64_t length = std::min<std::int64_t>(window, std::int64_t(all.size()));
    std::copy(all.end() - length, all.end(), seen.begin());
    const std::int64_t vocabulary = replica.shape().model.vocab_size;
    std::vector<float> row(at(vocabulary));
    replica.logits_at(Tensor(row.data(), Dtype::fp32, {1, vocabulary}), Tensor(seen.data(), Dtype::int32, {window}),
                      length - 1);
    return row;
}

std::vector<std::int32_t> prompt_of(std::int64_t length) {
    std::vector<std::int32_t> prompt;
    for (std::int64_t i = 0; i < length; ++i) prompt.push_back(std::int32_t((5 * i + 3) % 23));
    return prompt;
}

// 16 greedy tokens of generate() are those of recomputation. With bf16, two likely tokens may have logits that differ
// by less than the rounding; then either one may come first.
void expect_recomputed_tokens(TestReplica& cached, TestReplica& recomputing, std::int64_t prompt_length,
                              double rounding) {
    std::vector<std::int32_t> all = prompt_of(prompt_length);
    const std::vector<std::int32_t> tokens = continue_text(*cached, all, 16, -1, {.temperature = 0.0});
    ASSERT_EQ(tokens.size(), 16U);
    for (const std::int32_t token : tokens) {
        const std::vector<float> expected = recomputed_logits(*recomputing, all);
        const float most = *std::max_element(expected.begin(), expected.end());
        const auto likeliest = std::max_element(expected.begin(), expected.end()) - expected.begin();
        if (rounding == 0.0) {
            EXPECT_EQ(token, likeliest) << "after " << all.size() << " tokens";
        }
        EXPECT_LE(most - expected[at(token)], rounding * std::abs(most)) << "after " << all.size() << " tokens";
        all.push_back(token);
    }
}

TEST(Generate, gives_the_greedy_tokens_of_recomputation_within_and_past_the_window) {
    for (const Architecture architecture : all_architectures())
        for (const Dtype dtype : {Dtype::fp32, Dtype::bf16}) {
            SCOPED_TRACE(fmt::format("architecture {} {}", int(architecture), dtype_name(dtype)));
            const auto cached = generator(architecture, dtype), recomputing = generator(architecture, dtype);
            for (const std::int64_t length : emulated ? Counts{5, 9} : Counts{1, 3, 7, 8, 9, 13})
                expect_recomputed_tokens(*cached, *recomputing, length, dtype == Dtype::fp32 ? 0.0 : 0x1p-5);
        }
}

// The forward pass of the prompt runs once: afterwards, the prompt's embedding has no influence.
TEST(Generate, does_not_compute_earlier_positions_again) {
    const std::vector<std::int32_t> prompt{3, 7};
    const auto untouched = generator(), changed = generator();
    const std::vector<std::int32_t> expected = continue_text(**untouched, prompt, 6, -1, {.temperature = 0.0});
    for (const std::int32_t id : prompt) ASSERT_EQ(std::count(expected.begin(), expected.end(), id), 0);
    const Tensor embedding = (*changed)->store.compute((*changed)->store.index_of("embedding.weight"));
    const auto forget = [&](std::int32_t) {
        for (const std::int32_t id : prompt) fill((*changed)->context, embedding.slice(id, id + 1), 5.0F);
    };
    EXPECT_EQ(continue_text(**changed, prompt, 6, -1, {.temperature = 0.0}, forget), expected);
}

// The logits of each position, one position per call, are those of a forward pass of the whole window.
void expect_recomputed_logits(TestReplica& cached, TestReplica& recomputing, std::int64_t prompt_length,
                              double rounding) {
    std::vector<std::int32_t> all = prompt_of(window);
    Mesh mesh = make_self_mesh();
    NextLogits next(*cached, mesh);
    std::int64_t known = 0;
    for (std::int64_t length = prompt_length; length <= window; ++length) {
        const auto found = next.after(std::span(all).subspan(at(known), at(length - known)), known);
        const std::vector<float> row(found.begin(), found.end());
        const auto expected = recomputed_logits(*recomputing, {all.begin(), all.begin() + length});
        EXPECT_LT(relative_difference(row, expected, row.size()), rounding) << length << " positions";
        known = length;
    }
}

TEST(NextLogits, are_those_of_a_whole_forward_pass) {
    for (const Architecture architecture : all_architectures())
        for (const Dtype dtype : {Dtype::fp32, Dtype::bf16})
            for (const std::int64_t kv_heads : emulated ? Counts{2} : Counts{1, 2, 4})
                for (const std::int64_t length : emulated ? Counts{5} : Counts{1, 5, 8}) {
                    SCOPED_TRACE(fmt::format("architecture {} {} {} KV heads, prompt {}", int(architecture),
                                             dtype_name(dtype), kv_heads, length));
                    const auto cached = generator(architecture, dtype, kv_heads);
                    const auto recomputing = generator(architecture, dtype, kv_heads);
                    expect_recomputed_logits(*cached, *recomputing, length, dtype == Dtype::fp32 ? 1e-5 : 0.03);
                }
}

TEST(NextLogits, of_models_with_biases_and_qk_norm_are_those_of_a_whole_forward_pass) {
    for (const ModelConfig& model : with_biases_and_qk_norms(small_model(Architecture::pre_gpas)))
        for (const Dtype dtype : {Dtype::fp32, Dtype::bf16}) {
            SCOPED_TRACE(fmt::format("qk_norm {} {}", int(model.qk_norm), dtype_name(dtype)));
            const auto cached = generator(model, dtype);
            const auto recomputing = generator(model, dtype);
            expect_recomputed_logits(*cached, *recomputing, 5, dtype == Dtype::fp32 ? 1e-5 : 0.03);
        }
}

TEST(NextLogits, are_those_of_a_whole_forward_pass_with_a_sliding_window) {
    for (const Dtype dtype : {Dtype::fp32, Dtype::bf16})
        for (const std::int64_t sliding_window : {1, 2, 5, 8, 9})
            for (const std::int64_t length : emulated ? Counts{3} : Counts{1, 3, 8}) {
                SCOPED_TRACE(fmt::format("{} window {}, prompt {}", dtype_name(dtype), sliding_window, length));
                const auto cached = generator(Architecture::pre_gpas, dtype, 2, sliding_window);
                const auto recomputing = generator(Architecture::pre_gpas, dtype, 2, sliding_window);
                expect_recomputed_logits(*cached, *recomputing, length, dtype == Dtype::fp32 ? 1e-5 : 0.03);
            }
}

TEST(NextLogits, refuse_positions_outside_the_window_and_gaps) {
    const auto replica = generator();
    std::vector<std::int32_t> tokens = prompt_of(window + 1);
    Mesh mesh = make_self_mesh();
    NextLogits next(**replica, mesh);
    const auto ask = [&](std::int64_t count, std::int64_t position) {
        next.after(std::span(tokens).first(at(count)), position);
    };
    EXPECT_THROW(ask(1, window), Error);
    EXPECT_THROW(ask(2, 3), Error);
}

void expect_tokens_of_the_reference(std::int64_t sliding_window) {
    const auto replica = generator(Architecture::pre_gpas, Dtype::fp32, 2, sliding_window);
    const std::vector<std::int32_t> prompt{3, 7, 1};
    const std::vector<std::int32_t> tokens = continue_text(**replica, prompt, 12, -1, {.temperature = 0.0});
    ASSERT_EQ(tokens.size(), 12U);
    // The likeliest next token of the reference has the smallest loss.
    ModelConfig model = small_model(Architecture::pre_gpas);
    model.sliding_window = sliding_window;
    reference::Model reference = reference_model(model);
    std::vector<std::int32_t> all = prompt;
    for (const std::int32_t token : tokens) {
        const std::size_t length = std::min<std::size_t>(at(window), all.size());
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

TEST(Generate, continues_as_the_reference_model_would_also_past_the_window) { expect_tokens_of_the_reference(0); }
TEST(Generate, continues_as_the_reference_model_with_a_sliding_window_would) { expect_tokens_of_the_reference(3); }

TEST(Generate, gives_only_ids_that_the_tokenizer_has) {
    const auto replica = generator();
    const std::vector<std::int32_t> prompt{1};
    const auto largest = [&](std::int64_t vocab_size) {
        const auto tokens = continue_text(**replica, prompt, 60, -1, {.temperature = 50.0, .vocab_size = vocab_size});
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
    const auto tokens = continue_text(**replica, prompt, 30, -1, options);
    EXPECT_EQ(continue_text(**replica, prompt, 30, -1, options), tokens);
    EXPECT_NE(continue_text(**replica, prompt, 30, -1, {.temperature = 3.0, .seed = 12}), tokens);
    const auto cut = continue_text(**replica, prompt, 30, tokens[4], options);
    EXPECT_LE(cut.size(), 4U);
    EXPECT_TRUE(std::equal(cut.begin(), cut.end(), tokens.begin()));
}

}  // namespace
}  // namespace gpas
