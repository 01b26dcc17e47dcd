// rope_table and rope against rotations in double precision.
#include "base/error.hpp"
#include "kernels/ops.hpp"
#include "tests/support/owned_tensor.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace gpas {
namespace {

using test_support::OwnedTensor;
using test_support::poisoned_scratch;
using test_support::random_values;
using test_support::unit_roundoff;

constexpr double rope_base = 10000.0;

Context rope_context(int threads) { return Context(threads, poisoned_scratch(1 << 16)); }

struct Tables {
    OwnedTensor cos, sin;
    Tables(std::int64_t sequence, std::int64_t half)
        : cos(Dtype::fp32, {sequence, half}), sin(Dtype::fp32, {sequence, half}) {
        Context context = rope_context(1);
        rope_table(context, cos, sin, {.base = rope_base});
    }
};

TEST(RopeTable, HoldsCosineAndSineRoundedOnce) {
    const std::int64_t half = 24;
    const Tables tables(4096, half);
    for (std::int64_t t : {0, 1, 2, 1000, 4095})
        for (std::int64_t i = 0; i < half; ++i) {
            const double angle = double(t) / std::pow(rope_base, double(i) / double(half));
            // One rounding to fp32; the angle's own error in fp64 (a few 2^-53 · 4096) is far below that.
            const double tolerance = 1.01 * unit_roundoff(Dtype::fp32);
            EXPECT_NEAR(tables.cos.at(t * half + i), std::cos(angle), tolerance);
            EXPECT_NEAR(tables.sin.at(t * half + i), std::sin(angle), tolerance);
        }
    EXPECT_TRUE(tables.cos.guards_are_intact() && tables.sin.guards_are_intact());
}

// Llama 3.1's numbers, and what its formula (Hugging Face's transformers, modeling_rope_utils.py) gives for them.
TEST(RopeTable, LowersTheFrequenciesOfLongWaves) {
    const RopeFrequencies llama{
        .base = 500000.0, .factor = 8.0, .low_freq = 1.0, .high_freq = 4.0, .original_length = 8192};
    const RopeFrequencies plain{.base = 500000.0};
    const std::int64_t half = 64;
    int kept = 0, divided = 0, between = 0;
    for (std::int64_t i = 0; i < half; ++i) {
        const double frequency = std::pow(500000.0, -2.0 * double(i) / 128.0);
        EXPECT_DOUBLE_EQ(plain.at(i, half), frequency);
        const double wavelength = 2.0 * M_PI / frequency;
        double expected = frequency;
        if (wavelength > 8192.0) {
            expected = frequency / 8.0;
            ++divided;
        } else if (wavelength >= 8192.0 / 4.0) {
            const double smooth = (8192.0 / wavelength - 1.0) / (4.0 - 1.0);
            expected = (1.0 - smooth) * frequency / 8.0 + smooth * frequency;
            ++between;
        } else {
            ++kept;
        }
        EXPECT_NEAR(llama.at(i, half), expected, 1e-14 * expected) << i;
    }
    EXPECT_GT(kept, 20);
    EXPECT_GT(divided, 20);
    EXPECT_GT(between, 3);
}

// Which of a row's heads are values, and so are left alone.
bool is_value(const AttentionShape& s, std::int64_t head) {
    const std::int64_t slots = s.heads / s.kv_heads + 2;
    return head % slots == slots - 1;
}

// x' = R x with the angle taken in double; an element is a sum of two products: 3 roundings, one on storing.
void check(AttentionShape s, Dtype dtype, bool inverse) {
    SCOPED_TRACE(fmt::format("{} sequence {} batch {} heads {}/{} of {}", dtype_name(dtype), s.sequence, s.batch,
                             s.heads, s.kv_heads, s.head_dim));
    const std::int64_t rows = s.sequence * s.batch;
    const std::int64_t half = s.head_dim / 2;
    const OwnedTensor qkv(dtype, {rows, s.qkv_columns()}, random_values(rows * s.qkv_columns(), 1));
    const auto before = qkv.values();
    const Tables tables(s.sequence, half);
    Context context = rope_context(2);
    rope(context, qkv, s, tables.cos, tables.sin, inverse);
    EXPECT_TRUE(qkv.guards_are_intact());
    for (std::int64_t row = 0; row < rows; ++row)
        for (std::int64_t head = 0; head < s.heads + 2 * s.kv_heads; ++head)
            for (std::int64_t i = 0; i < half; ++i) {
                const std::int64_t at = row * s.qkv_columns() + head * s.head_dim + i;
                const double a = before[std::size_t(at)];
                const double b = before[std::size_t(at + half)];
                if (is_value(s, head)) {
                    ASSERT_EQ(qkv.at(at), a);
                    ASSERT_EQ(qkv.at(at + half), b);
                    continue;
                }
                const double angle =
                    double(row / s.batch) / std::pow(rope_base, double(i) / double(half)) * (inverse ? -1 : 1);
                const double magnitude = std::abs(a) + std::abs(b);
                const double tolerance = (4 * unit_roundoff(Dtype::fp32) + unit_roundoff(dtype)) * magnitude;
                ASSERT_NEAR(qkv.at(at), a * std::cos(angle) - b * std::sin(angle), tolerance);
                ASSERT_NEAR(qkv.at(at + half), b * std::cos(angle) + a * std::sin(angle), tolerance);
            }
}

TEST(Rope, RotatesQueriesAndKeysByPositionAndLeavesValues) {
    for (const Dtype dtype : {Dtype::fp32, Dtype::bf16})
        for (const bool inverse : {false, true}) {
            check({.sequence = 9, .batch = 3, .heads = 4, .kv_heads = 2, .head_dim = 48}, dtype, inverse);
            check({.sequence = 130, .batch = 1, .heads = 3, .kv_heads = 3, .head_dim = 64}, dtype, inverse);
            check({.sequence = 5, .batch = 2, .heads = 6, .kv_heads = 1, .head_dim = 2}, dtype, inverse);
            check({.sequence = 5, .batch = 2, .heads = 2, .kv_heads = 2, .head_dim = 86}, dtype, inverse);
            check({.sequence = 1, .batch = 1, .heads = 1, .kv_heads = 1, .head_dim = 16}, dtype, inverse);
            check({.sequence = 65, .batch = 2, .heads = 8, .kv_heads = 1, .head_dim = 128}, dtype, inverse);
            check({.sequence = 7, .batch = 5, .heads = 2, .kv_heads = 1, .head_dim = 96}, dtype, inverse);
            check({.sequence = 300, .batch = 1, .heads = 4, .kv_heads = 4, .head_dim = 8}, dtype, inverse);
        }
}

TEST(Rope, IsUndoneByItsInverse) {
    const AttentionShape s{.sequence = 33, .batch = 2, .heads = 4, .kv_heads = 2, .head_dim = 64};
    const std::int64_t count = s.sequence * s.batch * s.qkv_columns();
    const OwnedTensor qkv(Dtype::fp32, {s.sequence * s.batch, s.qkv_columns()}, random_values(count, 2));
    const auto before = qkv.values();
    const Tables tables(s.sequence, 32);
    Context context = rope_context(1);
    rope(context, qkv, s, tables.cos, tables.sin, false);
    rope(context, qkv, s, tables.cos, tables.sin, true);
    // Two rotations of 4 roundings each, of values whose pair has a norm of at most √2.
    for (std::int64_t i = 0; i < count; ++i)
        ASSERT_NEAR(qkv.at(i), before[std::size_t(i)],
                    2 * 4 * std::sqrt(2.0) * std::sqrt(2.0) * unit_roundoff(Dtype::fp32));
}

TEST(Rope, GivesTheSameBitsForOneToFourThreads) {
    const AttentionShape s{.sequence = 77, .batch = 3, .heads = 4, .kv_heads = 2, .head_dim = 48};
    const Tables tables(s.sequence, 24);
    const auto rotated = [&](int threads) {
        OwnedTensor qkv(Dtype::bf16, {s.sequence * s.batch, s.qkv_columns()},
                        random_values(s.sequence * s.batch * s.qkv_columns(), 3));
        Context context = rope_context(threads);
        rope(context, qkv, s, tables.cos, tables.sin, false);
        return qkv;
    };
    const OwnedTensor one = rotated(1);
    for (int threads = 2; threads <= 4; ++threads) EXPECT_TRUE(one.bytes() == rotated(threads).bytes()) << threads;
}

TEST(Rope, RefusesATableThatIsTooShort) {
    const AttentionShape s{.sequence = 8, .batch = 1, .heads = 2, .kv_heads = 2, .head_dim = 16};
    const OwnedTensor qkv(Dtype::fp32, {8, s.qkv_columns()});
    const Tables tables(7, 8);
    Context context = rope_context(1);
    EXPECT_THROW(rope(context, qkv, s, tables.cos, tables.sin, false), Error);
}

}  // namespace
}  // namespace gpas
