// Biases, and RMSNorm of queries and keys, against double precision.
#include "base/error.hpp"
#include "kernels/qk_norm.hpp"
#include "tests/reference/ops.hpp"
#include "tests/support/owned_tensor.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace gpas {
namespace {

using reference::Vec;
using test_support::OwnedTensor;
using test_support::poisoned_scratch;
using test_support::random_values;
using test_support::unit_roundoff;

Context qk_norm_context(int threads) { return Context(threads, poisoned_scratch(1 << 24)); }

// |found - expected| <= tolerance, for each element
void expect_near(const OwnedTensor& found, const Vec& expected, double tolerance) {
    ASSERT_EQ(std::size_t(found.tensor().elements()), expected.size());
    EXPECT_TRUE(found.guards_are_intact());
    for (std::size_t i = 0; i < expected.size(); ++i)
        ASSERT_NEAR(found.at(std::int64_t(i)), expected[i], tolerance) << i;
}

TEST(Bias, IsAddedToEachRowAndItsGradientIsTheSumOfTheRows) {
    for (const Dtype dtype : {Dtype::fp32, Dtype::bf16})
        for (const auto& [rows, columns] : {std::pair{1, 8}, {7, 5}, {300, 264}, {65, 1032}, {2, 33}}) {
            SCOPED_TRACE(fmt::format("{} {} x {}", dtype_name(dtype), rows, columns));
            const OwnedTensor y(dtype, {rows, columns}, random_values(rows * columns, 1));
            const OwnedTensor bias(dtype, {columns}, random_values(columns, 2));
            const OwnedTensor dbias(Dtype::fp32, {columns}, random_values(columns, 3));
            Vec gradient = dbias.values(), sum = y.values();
            reference::add_bias_gradient(gradient, sum);
            reference::add_bias(sum, bias.values());
            Context context = qk_norm_context(2);
            bias_gradient(context, dbias, y);
            add_bias(context, y, bias);
            // One rounding of a sum of two numbers below 1; and one rounding per added row, with a partial sum that
            // random signs keep below 4 √rows.
            expect_near(y, sum, 2 * unit_roundoff(dtype) + 4 * unit_roundoff(Dtype::fp32));
            expect_near(dbias, gradient, 4 * std::sqrt(rows) * std::sqrt(rows) * unit_roundoff(Dtype::fp32));
        }
}

TEST(Bias, OfAMatrixInStorageIsARow) {
    const OwnedTensor y(Dtype::fp32, {3, 8}, random_values(24, 1)), bias(Dtype::fp32, {2, 4}, random_values(8, 2));
    const OwnedTensor dbias(Dtype::fp32, {2, 4}, Vec(8, 0.0));
    Vec sum = y.values(), gradient(8);
    reference::add_bias_gradient(gradient, sum);
    reference::add_bias(sum, bias.values());
    Context context = qk_norm_context(1);
    bias_gradient(context, dbias, y);
    add_bias(context, y, bias);
    expect_near(y, sum, 1e-6);
    expect_near(dbias, gradient, 1e-6);
}

TEST(Bias, RefusesOtherSizes) {
    const OwnedTensor y(Dtype::fp32, {3, 8}), bias(Dtype::fp32, {7});
    Context context = qk_norm_context(1);
    EXPECT_THROW(add_bias(context, y, bias), Error);
    EXPECT_THROW(bias_gradient(context, bias, y), Error);
}

struct HeadsCase {
    std::int64_t rows, heads, kv_heads, head_dim;
    bool whole;
};

// The four operations of a rank that has all heads, and the same values in double precision.
void check(const HeadsCase& c, Dtype dtype, int threads) {
    SCOPED_TRACE(fmt::format("{} {} rows, heads {}/{} of {}, whole {}", dtype_name(dtype), c.rows, c.heads, c.kv_heads,
                             c.head_dim, c.whole));
    const AttentionShape shape{
        .sequence = c.rows, .batch = 1, .heads = c.heads, .kv_heads = c.kv_heads, .head_dim = c.head_dim};
    const std::int64_t q = (c.whole ? c.heads : 1) * c.head_dim, k = (c.whole ? c.kv_heads : 1) * c.head_dim;
    const OwnedTensor qkv(dtype, {c.rows, shape.qkv_columns()}, random_values(c.rows * shape.qkv_columns(), 1));
    const OwnedTensor dqkv(dtype, {c.rows, shape.qkv_columns()}, random_values(c.rows * shape.qkv_columns(), 2));
    const OwnedTensor wq(dtype, {q}, random_values(q, 3)), wk(dtype, {k}, random_values(k, 4));
    const OwnedTensor dwq(Dtype::fp32, {q}, random_values(q, 5)), dwk(Dtype::fp32, {k}, random_values(k, 6));
    const QkNorm norm{.attention = shape, .whole = c.whole, .eps = 1e-3F, .query = wq, .key = wk};
    const OwnedTensor squares(Dtype::fp32, {c.rows, norm.spans()}), dots(Dtype::fp32, {c.rows, norm.spans()});
    const OwnedTensor raw(dtype, {c.rows, norm.columns()});

    const reference::Heads h{c.rows, 1, c.heads, c.kv_heads, c.head_dim, 10000.0};
    const reference::HeadNorm exact{c.whole, wq.values(), wk.values(), double(norm.eps)};
    Vec expected_dwq = dwq.values(), expected_dwk = dwk.values();
    const Vec expected = norm_heads(qkv.values(), h, exact);
    const Vec expected_d = norm_heads_backward(expected_dwq, expected_dwk, dqkv.values(), qkv.values(), h, exact);

    Context context = qk_norm_context(threads);
    qk_squares(context, squares, qkv, norm);
    qk_norm(context, qkv, raw, squares, norm);
    qk_dots(context, dots, dqkv, raw, norm);
    qk_norm_backward(
        context,
        {.dqkv = dqkv, .dquery = dwq, .dkey = dwk, .raw = raw, .squares = squares, .dots = dots, .norm = norm});
    // |n| is at most √N |w|, and rstd at most 1/√eps for a tiny head; sums of N products in fp32.
    const double n = double(norm.elements(true)), fp32 = unit_roundoff(Dtype::fp32);
    expect_near(qkv, expected, std::sqrt(n) * (unit_roundoff(dtype) + 8 * fp32));
    expect_near(dqkv, expected_d, 32 * (1 + std::sqrt(n)) * (unit_roundoff(dtype) + 16 * fp32) / 8);
    const double terms = double(c.rows) * double(c.whole ? 1 : c.heads) + 1;
    expect_near(dwq, expected_dwq, 8 * std::sqrt(n) * terms * fp32);
    expect_near(dwk, expected_dwk, 8 * std::sqrt(n) * terms * fp32);
    EXPECT_TRUE(raw.guards_are_intact() && squares.guards_are_intact() && dots.guards_are_intact());
}

TEST(QkNorm, AgreesWithDoublePrecision) {
    for (const Dtype dtype : {Dtype::fp32, Dtype::bf16})
        for (const bool whole : {false, true}) {
            check({9, 4, 2, 48, whole}, dtype, 2);
            check({130, 3, 3, 64, whole}, dtype, 1);
            check({5, 6, 1, 6, whole}, dtype, 2);
            check({1, 1, 1, 16, whole}, dtype, 1);
            check({70, 8, 2, 128, whole}, dtype, 3);
        }
}

// The heads of two ranks, with the sums over both in between, give what one rank with all heads computes.
TEST(QkNorm, OverTheProjectionIsSharedByRanks) {
    const AttentionShape all{.sequence = 6, .batch = 1, .heads = 4, .kv_heads = 2, .head_dim = 8};
    AttentionShape half = all;
    half.heads = 2;
    half.kv_heads = 1;
    const std::int64_t columns = half.qkv_columns();
    const OwnedTensor whole(Dtype::fp32, {6, 2 * columns}, random_values(12 * columns, 1));
    const Vec before = whole.values();
    const OwnedTensor wq(Dtype::fp32, {32}, random_values(32, 3)), wk(Dtype::fp32, {16}, random_values(16, 4));
    Context context = qk_norm_context(1);
    const QkNorm one{.attention = all, .whole = true, .query = wq, .key = wk};
    const OwnedTensor squares(Dtype::fp32, {6, 2});
    qk_squares(context, squares, whole, one);
    qk_norm(context, whole, {}, squares, one);

    std::vector<OwnedTensor> parts, sums;
    std::vector<QkNorm> norms;
    for (std::int64_t rank = 0; rank < 2; ++rank) {
        OwnedTensor& part = parts.emplace_back(Dtype::fp32, std::initializer_list<std::int64_t>{6, columns});
        for (std::int64_t i = 0; i < 6 * columns; ++i)
            part.set(i, before[std::size_t(i / columns * 2 * columns + rank * columns + i % columns)]);
        norms.push_back({.attention = half,
                         .whole = true,
                         .ranks = 2,
                         .query = wq.tensor().slice(rank * 16, rank * 16 + 16),
                         .key = wk.tensor().slice(rank * 8, rank * 8 + 8)});
        qk_squares(context, sums.emplace_back(Dtype::fp32, std::initializer_list<std::int64_t>{6, 2}), part,
                   norms.back());
    }
    for (std::int64_t i = 0; i < 12; ++i) sums[0].set(i, sums[0].at(i) + sums[1].at(i));
    for (std::size_t rank = 0; rank < 2; ++rank) {
        qk_norm(context, parts[rank], {}, sums[0], norms[rank]);
        for (std::int64_t i = 0; i < 6 * columns; ++i)
            EXPECT_NEAR(parts[rank].at(i),
                        whole.at(i / columns * 2 * columns + std::int64_t(rank) * columns + i % columns), 1e-6);
    }
}

TEST(QkNorm, RefusesWeightsOfOtherSizes) {
    const AttentionShape shape{.sequence = 2, .batch = 1, .heads = 4, .kv_heads = 2, .head_dim = 8};
    const OwnedTensor qkv(Dtype::fp32, {2, shape.qkv_columns()}), w(Dtype::fp32, {8}), squares(Dtype::fp32, {2, 2});
    Context context = qk_norm_context(1);
    EXPECT_THROW(qk_norm(context, qkv, {}, squares, {.attention = shape, .whole = true, .query = w, .key = w}), Error);
}

}  // namespace
}  // namespace gpas
