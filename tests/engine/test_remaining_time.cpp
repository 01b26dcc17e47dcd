#include "engine/plan/peak.hpp"
#include "engine/run/remaining_time.hpp"

#include <gtest/gtest.h>

namespace gpas {
namespace {

RunConfig run_of(std::int64_t steps, std::int64_t evaluation_every, std::int64_t checkpoint_every) {
    RunConfig config;
    config.training.steps = steps;
    config.evaluation.every = evaluation_every;
    config.checkpoint.every = checkpoint_every;
    return config;
}

TEST(RemainingTime, IsUnknownBeforeTheFirstStep) { EXPECT_LT(RemainingTime(run_of(100, 10, 10)).seconds_left(0), 0.0); }

TEST(RemainingTime, CountsEvaluationsAndSavesThatAreStillDue) {
    RemainingTime time(run_of(100, 20, 30));
    for (int i = 0; i < 40; ++i) time.add_step(0.5);
    EXPECT_NEAR(time.seconds_left(40), 30.0, 1e-9);
    time.add_evaluation(4.0);
    time.add_evaluation(8.0);
    time.add_save();
    time.add_checkpoint_wait(1.0);
    time.add_checkpoint_wait(2.0);  // of the same save
    // After 40, 60, 80, 100 an evaluation of 6 s; after 60, 90, 100 a save of 3 s.
    EXPECT_NEAR(time.seconds_left(40), 30.0 + 4 * 6.0 + 3 * 3.0, 1e-9);
    EXPECT_NEAR(time.seconds_left(41), 29.5 + 3 * 6.0 + 3 * 3.0, 1e-9);
    EXPECT_NEAR(time.seconds_left(91), 4.5 + 6.0 + 3.0, 1e-9);
    EXPECT_NEAR(time.seconds_left(100), 6.0 + 3.0, 1e-9);
}

TEST(RemainingTime, CountsNoEvaluationWithoutOneAndTheLastSaveAlways) {
    RemainingTime time(run_of(100, 0, 0));
    time.add_step(1.0);
    time.add_evaluation(1000.0);
    time.add_save();
    time.add_checkpoint_wait(2.0);
    EXPECT_NEAR(time.seconds_left(1), 99.0 + 2.0, 1e-9);
}

TEST(RemainingTime, FollowsRecentSteps) {
    RemainingTime time(run_of(1000, 0, 0));
    for (int i = 0; i < 300; ++i) time.add_step(1.0);
    for (int i = 0; i < 300; ++i) time.add_step(2.0);
    EXPECT_NEAR(time.seconds_left(600), 800.0, 1.0);  // 0.98^300 of it is of the first steps
}

TEST(MeasuredPeak, SurvivesACheckpoint) {
    const MeasuredPeak peak{.key = peak_key(Device::cpu, 3, Dtype::fp32, 8), .flops = 1.0 / 3.0};
    const MeasuredPeak read = parse_peak(text_of(peak));
    EXPECT_EQ(read.flops, peak.flops);
    EXPECT_EQ(read.key, peak.key);
    EXPECT_NE(peak.key, peak_key(Device::cpu, 4, Dtype::fp32, 8));
    EXPECT_NE(peak.key, peak_key(Device::cpu, 3, Dtype::fp32, 4));
    for (const char* text : {"", "no number", "0x1p3", "nan key"}) EXPECT_EQ(parse_peak(text).flops, 0.0) << text;
}

}  // namespace
}  // namespace gpas
