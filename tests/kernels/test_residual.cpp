// Norms, gates and residual sums against the double-precision reference.
#include "base/error.hpp"
#include "kernels/ops.hpp"
#include "tests/reference/ops.hpp"
#include "tests/support/owned_tensor.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace gpas {
namespace {

using namespace test_support;
using reference::Vec;

constexpr std::int64_t residual_scratch = 1 << 24;

struct Size {
    std::int64_t rows, columns;
};
// One row, one column, less than a vector, not whole vectors, hidden sizes, the feed-forward sizes of 71M and 1B, more
// than one pack per thread.
constexpr Size sizes[] = {{1, 1}, {3, 7}, {130, 43}, {65, 511}, {17, 768}, {9, 1368}, {5, 5461}, {2, 8192}};

struct Gates {
    GateFunction function;
    bool stop_gradient;
};
constexpr Gates all_gates[] = {{GateFunction::silu, true},        {GateFunction::silu, false},
                               {GateFunction::identity, true},    {GateFunction::relu, true},
                               {GateFunction::tanh, false},       {GateFunction::leaky_relu, true},
                               {GateFunction::scaled_silu, true}, {GateFunction::scale_silu, true}};

// k = 1 - s(g)
double factor(const Gate& gate) {
    return gate ? 1.0 - reference::gate_value(gate.function, double(*gate.g), double(gate.scale)) : 1.0;
}
double slope(const Gate& gate) { return reference::gate_slope(gate.function, double(*gate.g), double(gate.scale)); }

Vec times(Vec x, double k) {
    for (double& v : x) v *= k;
    return x;
}

// |actual - expected| <= roundings · u · (size of the numbers that went in) + half a unit of the result as stored.
void expect_near(const OwnedTensor& actual, const Vec& expected, const Vec& sizes_in, double roundings,
                 const char* what) {
    const double stored = unit_roundoff(actual.tensor().dtype);
    ASSERT_TRUE(actual.guards_are_intact()) << what;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const double bound =
            roundings * unit_roundoff(Dtype::fp32) * sizes_in[i] + stored * std::abs(expected[i]) * 1.01;
        ASSERT_LE(std::abs(actual.at(std::int64_t(i)) - expected[i]), bound) << what << " element " << i;
    }
}

Vec absolute(Vec x) {
    for (double& v : x) v = std::abs(v);
    return x;
}
Vec plus(const Vec& a, const Vec& b) {
    Vec sum(a);
    for (std::size_t i = 0; i < a.size(); ++i) sum[i] += b[i];
    return sum;
}

// The mean of C squares is summed in 16 chains of C/16 terms: as many roundings, and a few more.
double norm_roundings(std::int64_t columns) { return double(columns) / 16.0 + 12.0; }

struct Case {
    Dtype dtype;
    Size size;
    Gates gates;
};

template <class Body>
void for_cases(Body&& body) {
    int turn = 0;  // a third of the cases has each gate and each size several times
    for (const Dtype dtype : dtypes)
        for (const Size size : sizes)
            for (const Gates gates : all_gates)
                if (turn++ % 3 == 0 || !kernels_are_slow()) body(Case{dtype, size, gates});
}

struct Inputs {
    explicit Inputs(const Case& c)
        : x(c.dtype, {c.size.rows, c.size.columns}, random_values(c.size.rows * c.size.columns, 1)),
          b(c.dtype, {c.size.rows, c.size.columns}, random_values(c.size.rows * c.size.columns, 2)),
          w(c.dtype, {c.size.columns}, random_values(c.size.columns, 3)),
          d(c.dtype, {c.size.rows, c.size.columns}, random_values(c.size.rows * c.size.columns, 4)),
          dn(c.dtype, {c.size.rows, c.size.columns}, random_values(c.size.rows * c.size.columns, 5)),
          n(c.dtype, {c.size.rows, c.size.columns}),
          x2(c.dtype, {c.size.rows, c.size.columns}),
          rstd(Dtype::fp32, {c.size.rows}),
          dw(Dtype::fp32, {c.size.columns}, Vec(std::size_t(c.size.columns), 0.25)),
          gate{g.address(), c.gates.function, 0.4F, c.gates.stop_gradient},
          other{g2.address(), c.gates.function, 0.4F, c.gates.stop_gradient} {}
    OwnedScalar g{0.7};
    OwnedScalar g2{-0.4};
    OwnedTensor x, b, w, d, dn, n, x2, rstd, dw;
    Gate gate, other;
};

constexpr GateFunction every_gate_function[] = {
    GateFunction::silu,       GateFunction::identity,    GateFunction::relu,      GateFunction::tanh,
    GateFunction::leaky_relu, GateFunction::scaled_silu, GateFunction::scale_silu};

TEST(GateFunction, value_and_slope_keep_their_digits_in_fp32) {
    for (const GateFunction function : every_gate_function)
        for (double g = -10.0; g <= 10.0; g += 0.03125) {
            // exp, a sum and a quotient are rounded, then each product. The slope of a silu is s (1 + x (1 - s)), whose
            // terms have opposite signs for negative x.
            const bool swish = function == GateFunction::silu || function == GateFunction::scaled_silu ||
                               function == GateFunction::scale_silu;
            const double x = function == GateFunction::scale_silu ? 8.0 * g : g, s = 1.0 / (1.0 + std::exp(-x));
            const double value = reference::gate_value(function, g, 0.25);
            const double slope = reference::gate_slope(function, g, 0.25);
            const double terms = swish ? s * (1.0 + std::abs(x) * (1.0 - s)) : std::abs(slope);
            EXPECT_NEAR(gate_value(function, float(g), 0.25F), value, 8 * 0x1p-24 * std::abs(value))
                << int(function) << " " << g;
            EXPECT_NEAR(gate_slope(function, float(g), 0.25F), slope, 10 * 0x1p-24 * terms)
                << int(function) << " " << g;
        }
}

TEST(GateFunction, slope_is_the_derivative_of_the_value) {
    constexpr double h = 1e-5;
    for (const GateFunction function : every_gate_function)
        for (const double g : {-2.3, -1.0, -0.31, -0.02, 0.04, 0.5, 1.1, 3.0}) {
            const double difference = (gate_value(function, g + h, 0.3) - gate_value(function, g - h, 0.3)) / (2.0 * h);
            // Third derivatives are below 100 (8² of scale_silu), and 1e-16 of rounding is divided by h.
            EXPECT_NEAR(gate_slope(function, g, 0.3), difference, 100.0 * h * h + 1e-10) << int(function) << " " << g;
        }
    EXPECT_NEAR(gate_value(GateFunction::scale_silu, 0.25, 1.0), 0.25 / (1.0 + std::exp(-2.0)), 1e-16);
}

TEST(Rmsnorm, normalises_the_gated_stream_and_its_replay_gives_the_same_bits) {
    for_cases([](const Case& c) {
        Inputs in(c);
        Context context(2, poisoned_scratch(residual_scratch));
        const Norm norm{in.w, 1e-5F, 0.5F};
        rmsnorm(context, in.n, in.rstd, {in.x, in.gate}, norm);
        const Vec expected = reference::rmsnorm(times(in.x.values(), factor(in.gate)), in.w.values(), 1e-5, 0.5);
        expect_near(in.n, expected, absolute(expected), norm_roundings(c.size.columns), "n");
        OwnedTensor again(c.dtype, {c.size.rows, c.size.columns});
        rmsnorm_replay(context, again, in.rstd, {in.x, in.gate}, norm);
        EXPECT_EQ(again.bytes(), in.n.bytes());
    });
}

TEST(Residual, adds_the_branch_to_the_gated_stream_and_the_fused_form_gives_the_same_bits) {
    for_cases([](const Case& c) {
        Inputs in(c);
        Context context(2, poisoned_scratch(residual_scratch));
        const Residual terms{1.5F, in.other};
        residual(context, {.x2 = in.x2, .r = terms, .h = {in.x, in.gate}, .b = in.b});
        const Vec shortcut = times(in.x.values(), 1.5 * factor(in.other) * factor(in.gate));
        expect_near(in.x2, plus(shortcut, in.b.values()), plus(absolute(shortcut), absolute(in.b.values())), 6.0, "x2");

        OwnedTensor fused(c.dtype, {c.size.rows, c.size.columns});
        OwnedTensor separate(c.dtype, {c.size.rows, c.size.columns});
        OwnedTensor rstd(Dtype::fp32, {c.size.rows});
        residual(context, {.x2 = fused,
                           .n = in.n,
                           .rstd = in.rstd,
                           .r = terms,
                           .h = {in.x, in.gate},
                           .b = in.b,
                           .out = in.gate,
                           .norm = {in.w}});
        rmsnorm(context, separate, rstd, {fused, in.gate}, {in.w});
        EXPECT_EQ(fused.bytes(), in.x2.bytes());
        EXPECT_EQ(separate.bytes(), in.n.bytes());
        residual(context, {.x2 = in.b, .r = terms, .h = {in.x, in.gate}, .b = in.b});  // x2 may be b
        EXPECT_EQ(in.b.bytes(), fused.bytes());
    });
}

// The sums in the gradients of the two gates, and the sums of the absolute values of their terms.
struct GateSums {
    double stream = 0.0, stream_size = 0.0, shortcut = 0.0, shortcut_size = 0.0;
};

GateSums gate_sums(const Vec& dh, const Vec& x, const Vec& d, double k, double alpha) {
    GateSums sums;
    for (std::size_t i = 0; i < x.size(); ++i) {
        sums.stream += dh[i] * x[i];
        sums.stream_size += std::abs(dh[i] * x[i]);
        sums.shortcut += alpha * d[i] * k * x[i];
        sums.shortcut_size += std::abs(alpha * d[i] * k * x[i]);
    }
    return sums;
}

TEST(RmsnormBackward, gives_the_gradients_of_stream_weight_and_both_gates) {
    for_cases([](const Case& c) {
        Inputs in(c);
        Context context(2, poisoned_scratch(residual_scratch));
        const Norm norm{in.w, 1e-5F, 0.5F};
        const Residual terms{1.5F, in.other};
        rmsnorm(context, in.n, in.rstd, {in.x, in.gate}, norm);
        const Vec x = in.x.values(), d = in.d.values(), dn = in.dn.values();
        const OwnedScalar dstream(3.0), dshortcut(-2.0);
        rmsnorm_backward(context, {.d = in.d,
                                   .dw = in.dw,
                                   .dgate = {dstream.address(), dshortcut.address()},
                                   .dn = in.dn,
                                   .r = terms,
                                   .h = {in.x, in.gate},
                                   .rstd = in.rstd,
                                   .norm = norm});

        const double k = factor(in.gate);
        Vec dw(std::size_t(c.size.columns), 0.25);
        Vec dw_size(std::size_t(c.size.columns), 0.25);
        const Vec jacobian = reference::rmsnorm_backward(dw, dn, times(x, k), in.w.values(), 1e-5, 0.5);
        reference::rmsnorm_backward(dw_size, absolute(dn), absolute(times(x, k)), in.w.values(), 1e-5, 0.5);
        const double let_through = 1.5 * (c.gates.stop_gradient ? 1.0 : factor(in.other));
        const Vec dh = plus(times(d, let_through), jacobian);
        const double pass = c.gates.stop_gradient ? 1.0 : k;
        // Both terms of the Jacobian are as large as rstd |w dn| and rstd mean|w dn n|: bounded by the row's largest.
        Vec size_in(dh.size());
        for (std::int64_t row = 0; row < c.size.rows; ++row) {
            double largest = 0.0;
            for (std::int64_t j = 0; j < c.size.columns; ++j)
                largest = std::max(largest,
                                   2.0 * in.rstd.at(row) * std::max(std::abs(in.n.at(row * c.size.columns + j)), 1.0));
            for (std::int64_t j = 0; j < c.size.columns; ++j)
                size_in[std::size_t(row * c.size.columns + j)] =
                    pass * (let_through * std::abs(d[std::size_t(row * c.size.columns + j)]) + largest);
        }
        const double roundings = norm_roundings(c.size.columns);
        expect_near(in.d, times(dh, pass), size_in, 2.0 * roundings, "d");
        expect_near(in.dw, dw, absolute(dw_size), roundings + 64.0 + double(c.size.rows) / 16.0, "dw");

        const GateSums sums = gate_sums(dh, x, d, k, 1.5);
        const double gate_roundings = 4.0 * roundings + double(c.size.rows);
        const double u = unit_roundoff(Dtype::fp32);
        double row_sizes = 0.0;  // errors of dh enter the sum, too
        for (std::size_t i = 0; i < x.size(); ++i) row_sizes += size_in[i] / pass * std::abs(x[i]);
        EXPECT_NEAR(dstream, 3.0 - slope(in.gate) * sums.stream,
                    std::abs(slope(in.gate)) * gate_roundings * u * row_sizes + 4 * u * 3);
        EXPECT_NEAR(dshortcut, -2.0 - slope(in.other) * sums.shortcut,
                    std::abs(slope(in.other)) * gate_roundings * u * sums.shortcut_size + 4 * u * 2);
    });
}

TEST(RmsnormBackward, without_a_shortcut_does_not_read_d_and_may_work_in_place) {
    for (const Dtype dtype : dtypes) {
        const Case c{dtype, {65, 511}, {GateFunction::silu, true}};
        Inputs in(c);
        Context context(2, poisoned_scratch(residual_scratch));
        rmsnorm(context, in.n, in.rstd, {in.x, {}}, {in.w});
        OwnedTensor poisoned(dtype, {65, 511});  // full of NaN
        RmsnormBackwardArgs args{
            .d = poisoned, .dn = in.dn, .r = {.alpha = 0.0F}, .h = {in.x, {}}, .rstd = in.rstd, .norm = {in.w}};
        rmsnorm_backward(context, args);
        args.d = in.dn;
        rmsnorm_backward(context, args);
        EXPECT_EQ(in.dn.bytes(), poisoned.bytes());
        for (const double value : poisoned.values()) ASSERT_TRUE(std::isfinite(value));
        args.r = {};
        EXPECT_THROW(rmsnorm_backward(context, args), Error);
    }
}

TEST(ResidualBackward, gives_the_gradients_of_stream_and_both_gates) {
    for_cases([](const Case& c) {
        Inputs in(c);
        Context context(2, poisoned_scratch(residual_scratch));
        const Vec x = in.x.values(), d = in.d.values();
        const OwnedScalar dstream(0.0), dshortcut(0.0);
        residual_backward(context, {.d = in.d,
                                    .dgate = {dstream.address(), dshortcut.address()},
                                    .db = in.dn,
                                    .r = {1.5F, in.other},
                                    .h = {in.x, in.gate}});
        const double k = factor(in.gate);
        const double let_through = 1.5 * (c.gates.stop_gradient ? 1.0 : factor(in.other));
        const Vec dh = plus(times(d, let_through), in.dn.values());
        const double pass = c.gates.stop_gradient ? 1.0 : k;
        expect_near(in.d, times(dh, pass),
                    times(plus(absolute(times(d, let_through)), absolute(in.dn.values())), std::abs(pass)), 6.0, "d");
        const GateSums sums = gate_sums(dh, x, d, k, 1.5);
        const double roundings = double(c.size.columns) / 16.0 + 16.0;
        EXPECT_NEAR(dstream, -slope(in.gate) * sums.stream,
                    std::abs(slope(in.gate)) * roundings * 0x1p-24 * (sums.stream_size * 4 + 1e-9));
        EXPECT_NEAR(dshortcut, -slope(in.other) * sums.shortcut,
                    std::abs(slope(in.other)) * roundings * 0x1p-24 * (sums.shortcut_size * 4 + 1e-9));
    });
}

TEST(Gpas, passes_the_gradient_through_bit_by_bit) {
    for (const Dtype dtype : dtypes) {
        const Case c{dtype, {130, 43}, {GateFunction::silu, true}};
        Inputs in(c);
        Context context(2, poisoned_scratch(residual_scratch));
        const auto before = in.d.bytes();
        const OwnedScalar dg(0.0);
        residual_backward(context, {.d = in.d, .dgate = {.stream = dg.address()}, .h = {in.x, in.gate}});
        EXPECT_EQ(in.d.bytes(), before);
        EXPECT_NE(double(dg), 0.0);

        rmsnorm(context, in.n, in.rstd, {in.x, in.gate}, {in.w});
        fill(context, in.dn, 0.0F);
        rmsnorm_backward(context, {.d = in.d,
                                   .dgate = {.stream = dg.address()},
                                   .dn = in.dn,
                                   .h = {in.x, in.gate},
                                   .rstd = in.rstd,
                                   .norm = {in.w}});
        EXPECT_EQ(in.d.bytes(), before);
    }
}

TEST(ApplyGate, scales_the_stream_down_also_in_place) {
    for_cases([](const Case& c) {
        Inputs in(c);
        Context context(2, poisoned_scratch(residual_scratch));
        apply_gate(context, in.n, {in.x, in.gate});
        const Vec expected = times(in.x.values(), factor(in.gate));
        expect_near(in.n, expected, absolute(expected), 4.0, "y");
        apply_gate(context, in.x, {in.x, in.gate});
        EXPECT_EQ(in.x.bytes(), in.n.bytes());
    });
}

TEST(Moments, are_those_of_the_gated_stream) {
    for_cases([](const Case& c) {
        Inputs in(c);
        Context context(2, poisoned_scratch(residual_scratch));
        const Moments result = moments(context, {in.x, in.gate});
        double sum = 0.0, squares = 0.0, sizes_in = 0.0;
        for (const double v : times(in.x.values(), factor(in.gate))) {
            sum += v;
            squares += v * v;
            sizes_in += std::abs(v);
        }
        const double u = norm_roundings(c.size.columns) * 0x1p-24;
        EXPECT_EQ(result.count, c.size.rows * c.size.columns);
        EXPECT_NEAR(result.sum, sum, u * sizes_in);
        EXPECT_NEAR(result.sum_of_squares, squares, u * squares);
    });
}

TEST(Residual, gives_the_same_bits_for_one_to_four_threads) {
    for (const Dtype dtype : dtypes) {
        const Case c{dtype, {1031, 43}, {GateFunction::silu, true}};
        std::vector<std::vector<std::byte>> first;
        for (int threads = 1; threads <= most_threads(); ++threads) {
            Inputs in(c);
            Context context(threads, poisoned_scratch(residual_scratch));
            OwnedTensor gates(Dtype::fp32, {2}, {0.0, 0.0});
            float* dg = gates.tensor().as<float>();
            residual(context, {.x2 = in.x2,
                               .n = in.n,
                               .rstd = in.rstd,
                               .r = {1.5F, in.other},
                               .h = {in.x, in.gate},
                               .b = in.b,
                               .out = in.gate,
                               .norm = {in.w}});
            rmsnorm_backward(context, {.d = in.d,
                                       .dw = in.dw,
                                       .dgate = {dg, dg + 1},
                                       .dn = in.dn,
                                       .r = {1.5F, in.other},
                                       .h = {in.x2, in.gate},
                                       .rstd = in.rstd,
                                       .norm = {in.w}});
            const std::vector<std::vector<std::byte>> bytes{in.x2.bytes(), in.n.bytes(), in.d.bytes(), in.dw.bytes(),
                                                            gates.bytes()};
            if (threads == 1) first = bytes;
            EXPECT_EQ(bytes, first) << threads << " threads";
        }
    }
}

TEST(Residual, names_the_tensors_that_do_not_fit) {
    Context context(1, device_arena(residual_scratch));
    OwnedTensor x(Dtype::fp32, {4, 9}), n(Dtype::fp32, {4, 8}), rstd(Dtype::fp32, {4}), w(Dtype::fp32, {9});
    try {
        rmsnorm(context, n, rstd, {x, {}}, {w});
        FAIL();
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "rmsnorm: n is fp32[4,8], rstd is fp32[4], x is fp32[4,9], w is fp32[9]");
    }
}

}  // namespace
}  // namespace gpas
