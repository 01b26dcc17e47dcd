// AdamW, sums, casts and random numbers over flat ranges; the vector functions under them.
#include "kernels/cpu/vector_math.hpp"
#include "kernels/math.hpp"
#include "kernels/ops.hpp"
#include "kernels/philox.hpp"
#include "tests/support/owned_tensor.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

namespace gpas {
namespace {

using namespace test_support;

constexpr std::int64_t flat_scratch = 1 << 22;
constexpr std::int64_t lengths[] = {1, 15, 16, 17, 1000, 8192, 8200, 70001};

TEST(Adamw, takes_the_steps_of_the_paper) {
    for (const std::int64_t n : lengths) {
        OwnedTensor w(Dtype::fp32, {n}, random_values(n, 1)),
            m(Dtype::fp32, {n}, std::vector<double>(std::size_t(n), 0.0));
        OwnedTensor v(Dtype::fp32, {n}, std::vector<double>(std::size_t(n), 0.0)), copy(Dtype::bf16, {n});
        std::vector<double> rw = w.values(), rm(std::size_t(n), 0.0), rv(std::size_t(n), 0.0);
        Context context(2, device_arena(flat_scratch));
        const OwnedTensor quarter(Dtype::fp64, {1}, {0.25});
        const int steps = 20;
        for (int t = 1; t <= steps; ++t) {
            const OwnedTensor g(Dtype::fp32, {n}, random_values(n, unsigned(10 + t)));
            const AdamwStep step{.learning_rate = 0.01 * t, .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .step = t};
            const AdamwPiece piece{
                .w = w, .m = m, .v = v, .compute = copy, .gradient = g, .weight_decay = 0.1, .factor = quarter};
            adamw(context, {&piece, 1}, step);
            for (std::size_t i = 0; i < rw.size(); ++i) {
                const double gradient = 0.25 * g.at(std::int64_t(i));
                rm[i] = 0.9 * rm[i] + 0.1 * gradient;
                rv[i] = 0.95 * rv[i] + 0.05 * gradient * gradient;
                const double update =
                    rm[i] / (1 - std::pow(0.9, t)) / (std::sqrt(rv[i] / (1 - std::pow(0.95, t))) + 1e-8);
                rw[i] -= step.learning_rate * (update + 0.1 * rw[i]);
            }
        }
        // |update| ≤ about 1.4; each step rounds a few times, and a moment's sum that cancels up to ten times its size.
        for (std::size_t i = 0; i < rw.size(); ++i) {
            ASSERT_NEAR(w.at(std::int64_t(i)), rw[i], steps * 10 * 0x1p-24 * 2.0) << i;
            ASSERT_NEAR(v.at(std::int64_t(i)), rv[i], 8 * steps * 0x1p-24 * rv[i]) << i;
            ASSERT_EQ(copy.at(std::int64_t(i)), round_to(Dtype::bf16, w.at(std::int64_t(i))));
        }
        EXPECT_TRUE(w.guards_are_intact() && m.guards_are_intact() && v.guards_are_intact() &&
                    copy.guards_are_intact());
    }
}

// AdamW in double precision, to compare with the operation, and the largest error that roundings can cause. One
// rounding is u = 2^-24.
struct AdamwReference {
    std::vector<double> m, v, m_error, v_error;
    double m_correction = 0.0, v_correction = 0.0;  // 1 - βᵗ, as the moving average of ones
    static constexpr double u = 0x1p-24;

    explicit AdamwReference(std::size_t n) : m(n), v(n), m_error(n), v_error(n) {}

    // share of (fresh - old): the share, the difference and the product are rounded, then the sum.
    static void move(double& average, double& error, double beta, double fresh, double fresh_error) {
        const double moved = (1.0 - beta) * (fresh - average);
        const double changed = std::min(beta, 1.0 - beta) * std::abs(fresh - average);
        average += moved;
        error = beta * error + (1.0 - beta) * fresh_error + 3.01 * u * changed + u * std::abs(average);
    }
    void step(const AdamwStep& s, const std::vector<double>& gradient) {
        m_correction += (1.0 - s.beta1) * (1.0 - m_correction);
        v_correction += (1.0 - s.beta2) * (1.0 - v_correction);
        for (std::size_t i = 0; i < m.size(); ++i) {
            const double square = gradient[i] * gradient[i];
            move(m[i], m_error[i], s.beta1, gradient[i], 0.0);
            move(v[i], v_error[i], s.beta2, square, u * square);
        }
    }
    double denominator(const AdamwStep& s, std::size_t i) const { return std::sqrt(v[i] / v_correction) + s.epsilon; }
    double update(const AdamwStep& s, std::size_t i) const { return m[i] / m_correction / denominator(s, i); }
    // Roundings: both corrections and their products (half of v's), root, epsilon, sum, quotient.
    double update_error(const AdamwStep& s, std::size_t i) const {
        return m_error[i] / m_correction / denominator(s, i) +
               std::abs(update(s, i)) * (0.51 * v_error[i] / v[i] + 7.1 * u);
    }
};

// Betas near to 1 lose what 1 - beta is in fp32: it is off by 1.3e-5 at 0.999, and 0 from 1 - 2^-25 on.
TEST(Adamw, is_true_to_double_precision_for_every_beta) {
    const std::int64_t n = 37;
    const std::pair<double, double> betas[] = {
        {0.9, 0.999},      {0.9, 0.9999},     {0.9, 0.99999},       {0.9, 0.9999999}, {0.9, 0.99999997},
        {0.9, 1 - 2e-8},   {0.9, 1 - 1e-12},  {0.9, 1 - 0x1p-53},   {0.99999, 0.999}, {0.9999999, 0.999},
        {1 - 2e-8, 0.999}, {1 - 1e-12, 0.95}, {1 - 1e-9, 1 - 1e-9}, {0.5, 0.5},       {0.3, 0.1},
        {1e-9, 1e-12},     {0.0, 0.999},      {0.9, 0.0},           {0.0, 0.0}};
    for (const auto& [beta1, beta2] : betas) {
        OwnedTensor m(Dtype::fp32, {n}, std::vector<double>(std::size_t(n), 0.0)),
            v(Dtype::fp32, {n}, std::vector<double>(std::size_t(n), 0.0));
        AdamwReference expected{std::size_t(n)};
        Context context(1, device_arena(flat_scratch));
        for (int t = 1; t <= 1000; ++t) {
            const OwnedTensor g(Dtype::fp32, {n}, random_values(n, unsigned(t)));
            OwnedTensor w(Dtype::fp32, {n}, std::vector<double>(std::size_t(n), 0.0));
            const AdamwStep step{.learning_rate = 0.5, .beta1 = beta1, .beta2 = beta2, .epsilon = 1e-8, .step = t};
            const AdamwPiece piece{.w = w, .m = m, .v = v, .gradient = g};
            adamw(context, {&piece, 1}, step);
            expected.step(step, g.values());
            if (t > 2 && t != 20 && t != 1000) continue;
            for (std::int64_t i = 0; i < n; ++i) {
                const auto at = std::size_t(i);
                const std::string where = fmt::format("betas {} {}, step {}, element {}", beta1, beta2, t, i);
                ASSERT_NEAR(m.at(i), expected.m[at], expected.m_error[at]) << where;
                ASSERT_NEAR(v.at(i), expected.v[at], expected.v_error[at]) << where;
                ASSERT_NEAR(-2.0 * w.at(i), expected.update(step, at), expected.update_error(step, at)) << where;
            }
        }
    }
}

TEST(Adamw, without_memory_takes_the_gradient_as_it_is) {
    const std::int64_t n = 3;
    OwnedTensor w(Dtype::fp32, {n}, {0.0, 0.0, 0.0}), m(Dtype::fp32, {n}, {1e20, -3.0, 1e-20}),
        v(Dtype::fp32, {n}, {1e30, 7.0, 1e-30});
    const OwnedTensor g(Dtype::fp32, {n}, {1e-5, 0.5, 1e5});
    Context context(1, device_arena(flat_scratch));
    const AdamwPiece piece{.w = w, .m = m, .v = v, .gradient = g};
    adamw(context, {&piece, 1}, {.learning_rate = 1.0, .beta1 = 0.0, .beta2 = 0.0, .epsilon = 1e-30, .step = 5});
    for (std::int64_t i = 0; i < n; ++i) {
        EXPECT_EQ(m.at(i), g.at(i));
        EXPECT_EQ(v.at(i), double(float(g.at(i)) * float(g.at(i))));
        EXPECT_NEAR(w.at(i), -1.0, 4 * 0x1p-24);
    }
}

// Decay and update are each too small to change a weight above 1 in fp32; their sum is not.
TEST(Adamw, decays_by_less_than_a_rounding_of_one) {
    const std::int64_t n = 200;
    std::vector<double> start = random_values(n, 5);
    for (double& value : start) value = 1.0 + 0.5 * std::abs(value) / (1.0 + std::abs(value));
    OwnedTensor w(Dtype::fp32, {n}, start), m(Dtype::fp32, {n}, std::vector<double>(std::size_t(n), 0.0)),
        v(Dtype::fp32, {n}, std::vector<double>(std::size_t(n), 0.0));
    const std::vector<double> before = w.values();
    const OwnedTensor g(Dtype::fp32, {n}, std::vector<double>(std::size_t(n), 1.0));
    Context context(1, device_arena(flat_scratch));
    const AdamwPiece piece{.w = w, .m = m, .v = v, .gradient = g, .weight_decay = 0.5};
    adamw(context, {&piece, 1}, {.learning_rate = 5e-8, .epsilon = 1e-12, .step = 1});
    for (std::int64_t i = 0; i < n; ++i) {
        const double b = before[std::size_t(i)];
        // One rounding of a number below 2, and a few of 1e-7.
        EXPECT_NEAR(w.at(i), b - 5e-8 * (1.0 + 0.5 * b), 0x1.01p-24) << i;
    }
}

TEST(SquaredNorm, is_exact_to_a_few_roundings_and_independent_of_threads) {
    for (const Dtype dtype : {Dtype::fp32, Dtype::bf16})
        for (const std::int64_t n : lengths) {
            const OwnedTensor x(dtype, {n}, random_values(n, 3));
            double expected = 0.0;
            for (const double value : x.values()) expected += value * value;
            double first = 0.0;
            for (int threads = 1; threads <= most_threads(); ++threads) {
                Context context(threads, poisoned_scratch(flat_scratch));
                const OwnedTensor sum(Dtype::fp64, {1}, {1.0});  // added to
                const Tensor tensors[] = {x};
                squared_norm(context, sum, tensors);
                if (threads == 1) first = sum.at(0);
                EXPECT_EQ(sum.at(0), first);
            }
            EXPECT_NEAR(first - 1.0, expected, 0x1p-50 + 260 * 0x1p-24 * expected);  // 4096 / 16 terms a chain
        }
}

TEST(SquaredNorm, of_many_tensors_is_the_sum_of_theirs) {
    std::vector<OwnedTensor> owned;
    double expected = 0.0;
    for (unsigned i = 0; i < 230; ++i) {
        const std::int64_t n = 1 + std::int64_t(i * i) % 701;
        owned.emplace_back(i % 3 == 0 ? Dtype::bf16 : Dtype::fp32, std::initializer_list<std::int64_t>{n},
                           random_values(n, i));
        for (const double value : owned.back().values()) expected += value * value;
    }
    const std::vector<Tensor> tensors(owned.begin(), owned.end());
    const OwnedTensor sum(Dtype::fp64, {1}, {0.0});
    Context context(2, poisoned_scratch(flat_scratch));
    squared_norm(context, sum, tensors);
    EXPECT_NEAR(sum.at(0), expected, 64 * 0x1p-24 * expected);
}

TEST(FirstNonFinite, finds_the_first_and_nothing_else) {
    Context context(3, device_arena(flat_scratch));
    OwnedTensor x(Dtype::fp32, {200000}, random_values(200000, 4));
    EXPECT_EQ(first_non_finite(context, x), -1);
    x.set(199999, NAN);
    x.set(140000, INFINITY);
    EXPECT_EQ(first_non_finite(context, x), 140000);
    x.set(70000, -INFINITY);
    EXPECT_EQ(first_non_finite(context, x), 70000);
}

TEST(Fingerprint, is_the_sum_of_its_terms_and_depends_on_every_bit) {
    for (const Dtype dtype : {Dtype::fp32, Dtype::bf16})
        for (const std::int64_t n : lengths) {
            OwnedTensor x(dtype, {n}, random_values(n, 6));
            const Tensor view = x;
            const auto bits_at = [&](std::int64_t i) -> std::uint32_t {
                return dtype == Dtype::bf16 ? std::uint32_t(static_cast<const std::uint16_t*>(view.data)[i])
                                            : static_cast<const std::uint32_t*>(view.data)[i];
            };
            std::uint64_t expected = 0;
            for (std::int64_t i = 0; i < n; ++i) expected += fingerprint_term(i, bits_at(i));
            for (int threads = 1; threads <= most_threads(); ++threads) {
                Context context(threads, poisoned_scratch(flat_scratch));
                ASSERT_EQ(fingerprint(context, x), expected) << n << " elements, " << threads << " threads";
                for (const std::int64_t i : {std::int64_t(0), n / 2, n - 1}) {
                    auto* byte = static_cast<unsigned char*>(view.data) + i * bytes_per_element(dtype);
                    *byte ^= 1;
                    EXPECT_NE(fingerprint(context, x), expected) << "element " << i;
                    *byte ^= 1;
                }
            }
        }
}

TEST(Cast, rounds_to_nearest_even_like_the_scalar_type) {
    std::vector<double> values = random_values(4099, 5);
    for (const double special :
         {0.0, -0.0, 1.00390625, 1.01171875, 3.3895314e38, 1e-40, double(INFINITY), -double(INFINITY)})
        values.push_back(special);
    const std::int64_t n = std::int64_t(values.size());
    OwnedTensor x(Dtype::fp32, {n}, values), y(Dtype::bf16, {n}), back(Dtype::fp32, {n});
    Context context(2, device_arena(flat_scratch));
    cast(context, y, x);
    cast(context, back, y);
    for (std::int64_t i = 0; i < n; ++i) {
        EXPECT_EQ(y.tensor().as<bf16>()[i].bits, bf16(float(x.at(i))).bits) << x.at(i);
        EXPECT_EQ(back.at(i), y.at(i));
    }
    OwnedTensor nan(Dtype::fp32, {1}, {NAN}), stored(Dtype::bf16, {1});
    cast(context, stored, nan);
    EXPECT_TRUE(std::isnan(stored.at(0)));
    EXPECT_TRUE(y.guards_are_intact() && back.guards_are_intact());
}

TEST(FillAndScale, reach_every_element_and_no_other) {
    Context context(2, device_arena(flat_scratch));
    for (const Dtype dtype : {Dtype::fp32, Dtype::bf16})
        for (const std::int64_t n : lengths) {
            OwnedTensor x(dtype, {n});
            fill(context, x, 0.75F);
            scale(context, x, -2.0F);
            for (const double value : x.values()) ASSERT_EQ(value, -1.5);
            EXPECT_TRUE(x.guards_are_intact());
        }
}

// Random123's known answers for philox4x32-10.
TEST(Philox, gives_the_published_words) {
    EXPECT_EQ(philox({0, 0, 0, 0}, 0, 0), (Philox4{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    const std::uint32_t ones = 0xffffffff;
    EXPECT_EQ(philox({ones, ones, ones, ones}, ones, ones), (Philox4{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0),
              (Philox4{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(FillNormal, depends_on_the_element_and_not_on_how_a_range_is_cut) {
    Context context(2, device_arena(flat_scratch));
    OwnedTensor whole(Dtype::fp32, {100003});
    fill_normal(context, whole, 42, 5, 0.02F);
    for (const auto& [begin, count] : {std::pair<std::int64_t, std::int64_t>{0, 1}, {1, 2}, {777, 1001}, {99999, 4}}) {
        OwnedTensor part(Dtype::fp32, {count});
        fill_normal(context, part, 42, 5 + begin, 0.02F);
        for (std::int64_t i = 0; i < count; ++i) ASSERT_EQ(part.at(i), whole.at(begin + i));
    }
    OwnedTensor other(Dtype::fp32, {100003});
    fill_normal(context, other, 43, 5, 0.02F);
    EXPECT_NE(other.bytes(), whole.bytes());
}

TEST(FillNormal, has_the_moments_and_tails_of_the_normal_distribution) {
    constexpr std::int64_t n = 2000000;
    Context context(2, device_arena(flat_scratch));
    OwnedTensor x(Dtype::fp32, {n});
    fill_normal(context, x, 7, 0, 1.0F);
    double mean = 0.0, square = 0.0, fourth = 0.0, beyond = 0.0, neighbours = 0.0;
    for (std::int64_t i = 0; i < n; ++i) {
        const double value = x.at(i);
        mean += value;
        square += value * value;
        fourth += value * value * value * value;
        beyond += std::abs(value) > 3.0 ? 1.0 : 0.0;
        neighbours += i > 0 ? value * x.at(i - 1) : 0.0;
    }
    // Five standard deviations of each statistic: of x 1, of x² √2, of x⁴ √96, of the count √(np), of products 1.
    const double deviation = 5.0 / std::sqrt(double(n));
    EXPECT_NEAR(mean / n, 0.0, deviation);
    EXPECT_NEAR(square / n, 1.0, deviation * std::sqrt(2.0));
    EXPECT_NEAR(fourth / n, 3.0, deviation * std::sqrt(96.0));
    EXPECT_NEAR(beyond / n, 0.0026998, deviation * std::sqrt(0.0026998));
    EXPECT_NEAR(neighbours / n, 0.0, deviation);
}

TEST(VectorExp, is_within_two_units_in_the_last_place) {
    for (double x = -87.3; x < 88.7; x += 0.00137) {
        float out[cpu::lanes];
        cpu::store(out, cpu::exp(cpu::splat(float(x))));
        const double expected = std::exp(double(float(x)));
        const double unit = std::ldexp(1.0, std::ilogb(expected) - 23);
        ASSERT_LE(std::abs(double(out[3]) - expected), 2.0 * unit) << x;
    }
    const auto exp_of = [](float x) {
        float out[cpu::lanes];
        cpu::store(out, cpu::exp(cpu::splat(x)));
        return out[0];
    };
    EXPECT_EQ(exp_of(INFINITY), INFINITY);
    EXPECT_EQ(exp_of(89.0F), INFINITY);
    EXPECT_EQ(exp_of(-INFINITY), 0.0F);
    EXPECT_EQ(exp_of(-0.0F), 1.0F);
    EXPECT_TRUE(std::isnan(exp_of(NAN)));
}

}  // namespace
}  // namespace gpas
