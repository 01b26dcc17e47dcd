#include "engine/step/learning_rate.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace gpas {
namespace {

constexpr double peak = 2.0;
constexpr std::int64_t steps = 100;

ScheduleConfig schedule(ScheduleKind kind) {
    return {.kind = kind, .warmup_steps = 10, .initial_ratio = 0.0, .min_ratio = 0.1};
}
double rate(const ScheduleConfig& s, std::int64_t k) { return learning_rate(s, peak, steps, StepNumber{k}); }

TEST(Schedule, warms_up_from_the_first_update_to_the_peak_in_a_line) {
    for (const ScheduleKind kind : {ScheduleKind::constant, ScheduleKind::linear, ScheduleKind::cosine,
                                    ScheduleKind::inverse_sqrt, ScheduleKind::wsd}) {
        const ScheduleConfig s = schedule(kind);
        EXPECT_DOUBLE_EQ(rate(s, 1), peak / 10);
        EXPECT_DOUBLE_EQ(rate(s, 5), peak / 2);
        EXPECT_DOUBLE_EQ(rate(s, 10), peak);
    }
    ScheduleConfig s = schedule(ScheduleKind::cosine);
    s.initial_ratio = 0.5;
    EXPECT_DOUBLE_EQ(rate(s, 5), 0.75 * peak);
}

TEST(Schedule, decays_by_the_formulas_of_megatron) {
    const double floor = 0.1 * peak;
    for (std::int64_t k = 11; k <= steps; ++k) {
        const double r = double(k - 10) / 90.0;
        EXPECT_DOUBLE_EQ(rate(schedule(ScheduleKind::constant), k), peak);
        EXPECT_DOUBLE_EQ(rate(schedule(ScheduleKind::linear), k), floor + (peak - floor) * (1 - r));
        EXPECT_DOUBLE_EQ(rate(schedule(ScheduleKind::cosine), k),
                         floor + (peak - floor) * 0.5 * (1 + std::cos(M_PI * r)));
        EXPECT_DOUBLE_EQ(rate(schedule(ScheduleKind::inverse_sqrt), k),
                         std::max(floor, peak * std::sqrt(10.0) / std::sqrt(double(k))));
    }
    EXPECT_DOUBLE_EQ(rate(schedule(ScheduleKind::cosine), steps), floor);
    EXPECT_DOUBLE_EQ(rate(schedule(ScheduleKind::linear), steps), floor);
}

// transformers' and the paper's code: LambdaLR gives update k the multiplier of step k - 1.
TEST(Schedule, starts_at_step_zero_as_pytorch_does_if_asked) {
    for (const ScheduleKind kind : {ScheduleKind::constant, ScheduleKind::linear, ScheduleKind::cosine,
                                    ScheduleKind::inverse_sqrt, ScheduleKind::wsd}) {
        ScheduleConfig zero = schedule(kind);
        zero.decay_steps = kind == ScheduleKind::wsd ? 20 : 0;
        const ScheduleConfig one = zero;
        zero.first_step = 0;
        EXPECT_EQ(rate(zero, 1), 0.0);
        for (std::int64_t k = 2; k <= steps; ++k) EXPECT_EQ(rate(zero, k), rate(one, k - 1));
        zero.warmup_steps = 0;
        EXPECT_DOUBLE_EQ(rate(zero, 1), peak);
    }
}

TEST(Schedule, stays_at_the_floor_after_its_own_end) {
    for (const ScheduleKind kind : {ScheduleKind::linear, ScheduleKind::cosine}) {
        ScheduleConfig s = schedule(kind);
        s.decay_steps = 50;
        EXPECT_DOUBLE_EQ(rate(s, 30), 0.1 * peak + 0.9 * peak * 0.5);  // half way for both
        EXPECT_DOUBLE_EQ(rate(s, 50), 0.1 * peak);
        EXPECT_DOUBLE_EQ(rate(s, 90), 0.1 * peak);
    }
}

TEST(Schedule, warmup_stable_decay_is_flat_until_its_last_steps) {
    const auto q_half = [](DecayShape shape) {
        ScheduleConfig s = schedule(ScheduleKind::wsd);
        s.decay_steps = 20;
        s.wsd_decay = shape;
        EXPECT_DOUBLE_EQ(rate(s, 11), peak);
        EXPECT_DOUBLE_EQ(rate(s, 80), peak);
        EXPECT_LT(rate(s, 81), peak);
        EXPECT_NEAR(rate(s, 100), 0.1 * peak, 1e-15);
        return (rate(s, 90) / peak - 0.1) / 0.9;
    };
    EXPECT_DOUBLE_EQ(q_half(DecayShape::linear), 0.5);
    EXPECT_DOUBLE_EQ(q_half(DecayShape::cosine), 0.5);
    EXPECT_DOUBLE_EQ(q_half(DecayShape::exponential), 2 * std::pow(0.5, 0.5) - 1);
    EXPECT_DOUBLE_EQ(q_half(DecayShape::minus_sqrt), 1 - std::sqrt(0.5));
}

TEST(Schedule, needs_no_warmup) {
    ScheduleConfig s = schedule(ScheduleKind::cosine);
    s.warmup_steps = 0;
    EXPECT_LT(rate(s, 1), peak);
    EXPECT_GT(rate(s, 1), 0.99 * peak);
    s.kind = ScheduleKind::inverse_sqrt;
    EXPECT_DOUBLE_EQ(rate(s, 1), peak);
}

}  // namespace
}  // namespace gpas
