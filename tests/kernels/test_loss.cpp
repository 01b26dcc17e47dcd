// Cross entropy, embedding and SwiGLU against the double-precision reference.
#include "kernels/ops.hpp"
#include "tests/reference/ops.hpp"
#include "tests/support/owned_tensor.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace gpas {
namespace {

using namespace test_support;
using reference::Vec;

constexpr std::int64_t loss_scratch = 1 << 22;

std::vector<std::int32_t> some_labels(std::int64_t rows, std::int64_t vocabulary) {
    std::vector<std::int32_t> labels;
    for (std::int64_t t = 0; t < rows; ++t) labels.push_back(t % 4 == 2 ? -1 : std::int32_t(t * 7919 % vocabulary));
    return labels;
}

// Logits of both signs up to `size`.
Vec some_logits(std::int64_t rows, std::int64_t vocabulary, double size) {
    Vec logits = random_values(rows * vocabulary, 7);
    for (double& x : logits) x = round_to(Dtype::fp32, x * size);
    return logits;
}

double loss_of(Context& context, Tensor stats, Tensor labels) {
    const OwnedTensor sum(Dtype::fp64, {1}, {0.0});
    cross_entropy_loss(context, sum, stats, labels);
    return sum.at(0);
}

struct LogitsShape {
    std::int64_t rows, vocabulary;
};
constexpr LogitsShape logits_shapes[] = {{1, 1},    {1, 2},    {9, 43},    {70, 1000},
                                         {5, 2047}, {4, 2048}, {2, 32000}, {3, 32003}};

TEST(CrossEntropy, loss_and_gradient_are_those_of_the_reference) {
    for (const LogitsShape s : logits_shapes)
        for (const double size : {1.0, 30.0, 5000.0})
            for (const Dtype dtype : dtypes) {
                std::vector<std::int32_t> labels = some_labels(s.rows, s.vocabulary);
                OwnedTensor logits(Dtype::fp32, {s.rows, s.vocabulary}, some_logits(s.rows, s.vocabulary, size));
                OwnedTensor stats(Dtype::fp32, {s.rows, 3}), dlogits(dtype, {s.rows, s.vocabulary});
                Context context(2, poisoned_scratch(loss_scratch));
                cross_entropy_stats(context, stats, logits, view(labels), 0);
                const double loss = loss_of(context, stats, view(labels));
                cross_entropy_backward(
                    context,
                    {.dlogits = dlogits, .logits = logits, .stats = stats, .labels = view(labels), .factor = 0.5F});

                Vec gradient;
                const double expected = reference::cross_entropy(gradient, logits.values(), labels, s.vocabulary);
                // The sum of V exponentials runs in 64 chains; the exponent's own rounding counts |logit - max| ≤ 2
                // size.
                const double u = 0x1p-24;
                const double relative = (double(s.vocabulary) / 64.0 + 12.0 + 2.0 * size) * u;
                EXPECT_NEAR(loss, expected, double(s.rows) * relative + 4 * u * expected);
                for (std::size_t i = 0; i < gradient.size(); ++i)
                    ASSERT_NEAR(dlogits.at(std::int64_t(i)), 0.5 * gradient[i],
                                0.5 * relative + unit_roundoff(dtype) * std::abs(gradient[i]))
                        << i;
                EXPECT_TRUE(dlogits.guards_are_intact());
            }
}

TEST(CrossEntropy, losses_of_tokens_are_the_terms_of_their_sum) {
    constexpr std::int64_t rows = 300, vocabulary = 43;
    std::vector<std::int32_t> labels = some_labels(rows, vocabulary);
    const OwnedTensor logits(Dtype::fp32, {rows, vocabulary}, some_logits(rows, vocabulary, 5.0));
    const OwnedTensor stats(Dtype::fp32, {rows, 3}), losses(Dtype::fp64, {rows});
    Context context(2, poisoned_scratch(loss_scratch));
    cross_entropy_stats(context, stats, logits, view(labels), 0);
    cross_entropy_token_losses(context, losses, stats, view(labels));
    double sum = 0.0;
    for (std::int64_t t = 0; t < rows; ++t) {
        Vec gradient;
        const Vec all = logits.values();
        const Vec row(all.begin() + t * vocabulary, all.begin() + (t + 1) * vocabulary);
        const std::int32_t label = labels[std::size_t(t)];
        const double expected = label < 0 ? 0.0 : reference::cross_entropy(gradient, row, {label}, vocabulary);
        EXPECT_NEAR(losses.at(t), expected, 1e-5) << t;
        sum += losses.at(t);
    }
    EXPECT_NEAR(loss_of(context, stats, view(labels)), sum, 1e-9 * sum);
    EXPECT_TRUE(losses.guards_are_intact());
}

TEST(CrossEntropy, works_in_place_and_clears_rows_without_a_label_whatever_they_hold) {
    std::vector<std::int32_t> labels{3, -1};
    OwnedTensor logits(Dtype::fp32, {2, 19}, some_logits(2, 19, 3.0));
    OwnedTensor stats(Dtype::fp32, {2, 3}), separate(Dtype::fp32, {2, 19});
    logits.set(19 + 5, INFINITY);
    logits.set(19 + 6, NAN);
    Context context(1, poisoned_scratch(loss_scratch));
    cross_entropy_stats(context, stats, logits, view(labels), 0);
    for (const Tensor dlogits : {separate.tensor(), logits.tensor()})
        cross_entropy_backward(context, {.dlogits = dlogits, .logits = logits, .stats = stats, .labels = view(labels)});
    EXPECT_EQ(logits.bytes(), separate.bytes());
    for (std::int64_t i = 19; i < 38; ++i) EXPECT_EQ(logits.at(i), 0.0);
    EXPECT_TRUE(std::isfinite(loss_of(context, stats, view(labels))));
}

TEST(CrossEntropy, slices_of_the_vocabulary_combine_to_the_whole) {
    constexpr std::int64_t rows = 11, vocabulary = 101, cut = 37;
    std::vector<std::int32_t> labels = some_labels(rows, vocabulary);
    const Vec logits = some_logits(rows, vocabulary, 4.0);
    OwnedTensor whole(Dtype::fp32, {rows, vocabulary}, logits), left(Dtype::fp32, {rows, cut}),
        right(Dtype::fp32, {rows, vocabulary - cut});
    for (std::int64_t t = 0; t < rows; ++t)
        for (std::int64_t j = 0; j < vocabulary; ++j)
            (j < cut ? left : right)
                .set(j < cut ? t * cut + j : t * (vocabulary - cut) + j - cut, logits[std::size_t(t * vocabulary + j)]);
    OwnedTensor a(Dtype::fp32, {rows, 3}), b(Dtype::fp32, {rows, 3}), all(Dtype::fp32, {rows, 3});
    Context context(2, poisoned_scratch(loss_scratch));
    cross_entropy_stats(context, a, left, view(labels), 0);
    cross_entropy_stats(context, b, right, view(labels), cut);
    cross_entropy_stats(context, all, whole, view(labels), 0);
    for (std::int64_t t = 0; t < rows; ++t) {
        const double most = std::max(a.at(3 * t), b.at(3 * t));
        const double sum =
            a.at(3 * t + 1) * std::exp(a.at(3 * t) - most) + b.at(3 * t + 1) * std::exp(b.at(3 * t) - most);
        EXPECT_EQ(most, all.at(3 * t));
        EXPECT_NEAR(sum, all.at(3 * t + 1), 16 * 0x1p-24 * sum);
        const bool labelled = labels[std::size_t(t)] >= 0;
        EXPECT_EQ(labelled ? a.at(3 * t + 2) + b.at(3 * t + 2) : 0.0, labelled ? all.at(3 * t + 2) : 0.0);
    }
}

TEST(Embedding, copies_rows_and_adds_gradients_of_repeated_ids_in_row_order) {
    for (const Dtype dtype : dtypes)
        for (const std::int64_t columns : {1, 7, 8, 43, 64, 256, 511, 2049}) {
            std::vector<std::int32_t> ids{4, 0, 4, 10, 4, 0};
            const std::int64_t rows = std::int64_t(ids.size());
            OwnedTensor w(dtype, {11, columns}, random_values(11 * columns, 1)), h(dtype, {rows, columns});
            OwnedTensor dh(dtype, {rows, columns}, random_values(rows * columns, 2));
            OwnedTensor dw(Dtype::fp32, {11, columns}, Vec(std::size_t(11 * columns), 1.0));
            Context context(3, poisoned_scratch(loss_scratch));
            embedding(context, h, w, view(ids), 0);
            embedding_backward(context, dw, dh, view(ids), 0);
            std::vector<float> expected(std::size_t(11 * columns), 1.0F);
            for (std::int64_t t = 0; t < rows; ++t)
                for (std::int64_t j = 0; j < columns; ++j) {
                    EXPECT_EQ(h.at(t * columns + j), w.at(ids[std::size_t(t)] * columns + j));
                    expected[std::size_t(ids[std::size_t(t)] * columns + j)] += float(dh.at(t * columns + j));
                }
            for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(dw.at(std::int64_t(i)), double(expected[i]));
            EXPECT_TRUE(h.guards_are_intact() && dw.guards_are_intact());
        }
}

// More tokens than a CUDA block compares per turn, and a shard that begins in the middle of the table.
TEST(Embedding, adds_gradients_of_many_tokens_in_row_order) {
    constexpr std::int64_t tokens = 2603, columns = 24, table_rows = 29, first_row = 7;
    std::vector<std::int32_t> ids(tokens);
    for (std::int64_t t = 0; t < tokens; ++t) ids[std::size_t(t)] = std::int32_t(t * t % 41);
    const OwnedTensor dh(Dtype::bf16, {tokens, columns}, random_values(tokens * columns, 2));
    OwnedTensor dw(Dtype::fp32, {table_rows, columns}, Vec(std::size_t(table_rows * columns), 0.0));
    std::vector<float> expected(std::size_t(table_rows * columns), 0.0F);
    for (std::int64_t t = 0; t < tokens; ++t) {
        const std::int64_t row = ids[std::size_t(t)] - first_row;
        for (std::int64_t j = 0; j < columns && 0 <= row && row < table_rows; ++j)
            expected[std::size_t(row * columns + j)] += float(dh.at(t * columns + j));
    }
    Context context(2, poisoned_scratch(loss_scratch));
    embedding_backward(context, dw, dh, view(ids), first_row);
    for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_EQ(dw.at(std::int64_t(i)), double(expected[i])) << i;
}

TEST(Swiglu, forward_and_backward_are_those_of_the_reference_also_in_place) {
    for (const Dtype dtype : dtypes)
        for (const LogitsShape s :
             {LogitsShape{1, 1}, LogitsShape{3, 7}, LogitsShape{2, 8}, LogitsShape{33, 43}, LogitsShape{7, 256},
              LogitsShape{5, 1368}, LogitsShape{2, 5461}, LogitsShape{2, 5464}}) {
            const std::int64_t width = s.vocabulary;
            Vec values = random_values(s.rows * 2 * width, 3);
            for (double& x : values) x *= 9.0;
            OwnedTensor gate_up(dtype, {s.rows, 2 * width}, values), act(dtype, {s.rows, width});
            OwnedTensor dact(dtype, {s.rows, width}, random_values(s.rows * width, 4)), d(dtype, {s.rows, 2 * width});
            Context context(2, poisoned_scratch(loss_scratch));
            const Vec expected = reference::swiglu(gate_up.values(), width);
            const Vec gradient = reference::swiglu_backward(dact.values(), gate_up.values(), width);
            swiglu(context, act, gate_up);
            swiglu_backward(context, d, dact, gate_up);
            // exp is good to 2 units at arguments up to 9, whose own rounding counts 9 times.
            const double u = 32.0 * 0x1p-24;
            for (std::size_t i = 0; i < expected.size(); ++i)
                ASSERT_NEAR(act.at(std::int64_t(i)), expected[i], (u + unit_roundoff(dtype)) * std::abs(expected[i]));
            for (std::size_t i = 0; i < gradient.size(); ++i)  // 1 + g (1 - s) may cancel: terms are up to 9 · 9
                ASSERT_NEAR(d.at(std::int64_t(i)), gradient[i],
                            u * 90.0 + unit_roundoff(dtype) * std::abs(gradient[i]));
            swiglu_backward(context, gate_up, dact, gate_up);
            EXPECT_EQ(gate_up.bytes(), d.bytes());
        }
}

TEST(Loss, gives_the_same_bits_for_one_to_four_threads) {
    std::vector<std::vector<std::byte>> first;
    for (int threads = 1; threads <= most_threads(); ++threads) {
        std::vector<std::int32_t> labels = some_labels(301, 1003);
        OwnedTensor logits(Dtype::fp32, {301, 1003}, some_logits(301, 1003, 3.0)), stats(Dtype::fp32, {301, 3});
        OwnedTensor dw(Dtype::fp32, {1003, 40}, Vec(40 * 1003, 0.0)),
            dh(Dtype::bf16, {301, 40}, random_values(301 * 40, 2));
        std::vector<std::int32_t> ids(301, 5);
        Context context(threads, poisoned_scratch(loss_scratch));
        cross_entropy_stats(context, stats, logits, view(labels), 0);
        cross_entropy_backward(context, {.dlogits = logits, .logits = logits, .stats = stats, .labels = view(labels)});
        embedding_backward(context, dw, dh, view(ids), 0);
        const std::vector<std::vector<std::byte>> bytes{stats.bytes(), logits.bytes(), dw.bytes()};
        if (threads == 1) first = bytes;
        EXPECT_EQ(bytes, first) << threads << " threads";
    }
}

}  // namespace
}  // namespace gpas
