// What a run does after bad steps: skip, roll back, give up. And what a checkpoint remembers for the resumed run.
#include "engine/run/recovery.hpp"
#include "engine/run/remembered.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <optional>

namespace gpas {
namespace {

constexpr std::int64_t any_step = std::numeric_limits<std::int64_t>::max();

RunConfig guarded() {
    RunConfig config;
    config.training.global_batch_size = 4;
    config.training.max_skipped_steps = 3;
    config.data.sequence_length = 8;
    config.guard.max_roll_backs = 2;
    config.guard.weights_every = 10;
    return config;
}

Resumed checkpoint_of(std::int64_t step) {
    return {.file = "step.h5",
            .progress = {.step = step, .updates = step - 1, .consumed_samples = 4 * step, .consumed_tokens = 32 * step},
            .memory = {}};
}

TEST(Recovery, ASkippedStepEndsTheRunOnlyAfterOthersInARow) {
    const RunConfig config = guarded();
    Recovery recovery(config, 1);
    EXPECT_EQ(recovery.after_step(StepAction::skip, "loss nan"), "");
    EXPECT_EQ(recovery.after_step(StepAction::skip, "loss nan"), "");
    EXPECT_EQ(recovery.after_step(StepAction::update, ""), "");  // starts the count again
    EXPECT_EQ(recovery.after_step(StepAction::skip, "loss nan"), "");
    EXPECT_EQ(recovery.after_step(StepAction::skip, "loss nan"), "");
    EXPECT_EQ(recovery.after_step(StepAction::no_tokens, ""), "");  // neither skipped nor good
    EXPECT_EQ(recovery.after_step(StepAction::skip, "loss inf"),
              "3 steps in a row were skipped (training.max_skipped_steps): loss inf");
}

TEST(Recovery, ARollBackContinuesFromTheCheckpointWithTheDataAfterTheBadStep) {
    const RunConfig config = guarded();
    Recovery recovery(config, 1);
    const Progress bad{.step = 9, .updates = 8, .consumed_samples = 44, .consumed_tokens = 288};
    const RollBack back = recovery.roll_back(bad, "loss nan", [](std::int64_t) { return checkpoint_of(6); });
    ASSERT_TRUE(back.resumed);
    EXPECT_EQ(back.progress.step, 6);
    EXPECT_EQ(back.progress.updates, 5);
    EXPECT_EQ(back.progress.consumed_samples, 44);
    EXPECT_EQ(back.progress.consumed_tokens, 192);
    EXPECT_EQ(back.resumed->progress.consumed_samples, 24);
    EXPECT_NE(back.text.find("from step 9 to step.h5"), std::string::npos) << back.text;
    EXPECT_NE(back.text.find("sample 44"), std::string::npos) << back.text;
    EXPECT_NE(back.text.find("loss nan"), std::string::npos) << back.text;
}

TEST(Recovery, GivesUpAfterTheLargestNumberOfRollBacksAndLoadsNothing) {
    const RunConfig config = guarded();
    Recovery recovery(config, 1);
    int loads = 0;
    const auto load = [&](std::int64_t) {
        ++loads;
        return checkpoint_of(6);
    };
    EXPECT_TRUE(recovery.roll_back({.step = 9}, "loss nan", load).resumed);
    recovery.after_step(StepAction::update, "");  // good steps in between do not start the count again
    EXPECT_TRUE(recovery.roll_back({.step = 9}, "loss nan", load).resumed);
    const RollBack third = recovery.roll_back({.step = 9}, "loss nan", load);
    EXPECT_FALSE(third.resumed);
    EXPECT_EQ(third.text, "loss nan (after 2 roll backs, guard.max_roll_backs)");
    EXPECT_EQ(loads, 2);
}

TEST(Recovery, GivesUpWithoutACheckpoint) {
    const RunConfig config = guarded();
    Recovery recovery(config, 1);
    const RollBack back =
        recovery.roll_back({.step = 3}, "loss nan", [](std::int64_t) { return std::optional<Resumed>(); });
    EXPECT_FALSE(back.resumed);
    EXPECT_NE(back.text.find("loss nan (there is no checkpoint"), std::string::npos) << back.text;
}

TEST(Recovery, RollsBackToAStepAtWhichReplicasWereFoundEqual) {
    const RunConfig config = guarded();
    Recovery recovery(config, 2);
    ASSERT_TRUE(recovery.compares());
    recovery.trust_up_to(20);
    std::int64_t asked = -1;
    recovery.roll_back({.step = 27}, "weights differ", [&](std::int64_t trusted) {
        asked = trusted;
        return std::optional<Resumed>();
    });
    EXPECT_EQ(asked, 20);
    EXPECT_EQ(recovery.why_set_aside(27),
              "replicas differ at step 27, and the last comparison that passed was that of step 20's weights");
}

TEST(Recovery, TrustsAllStepsIfReplicasAreNeverCompared) {
    const RunConfig one_replica = guarded();
    RunConfig no_comparisons = guarded();
    no_comparisons.guard.weights_every = 0;
    Recovery one(one_replica, 1), off(no_comparisons, 8);
    for (Recovery* recovery : {&one, &off}) {
        EXPECT_FALSE(recovery->compares());
        recovery->trust_up_to(20);
        EXPECT_EQ(recovery->trusted(), any_step);
    }
}

TEST(Remembered, SurvivesACheckpoint) {
    Remembered before;
    before.recent_losses = "1.5 0.25 1.25 0.5 ";
    before.peak.key = "a processor, 2 threads, fp32, 4 ranks";
    before.peak.flops = 1.23456789e11;
    before.token_ids = "llama";
    before.evaluation_pending = true;
    const Remembered after = remembered_in(memory_of(before));
    EXPECT_EQ(after.recent_losses, before.recent_losses);
    EXPECT_EQ(after.peak.key, before.peak.key);
    EXPECT_EQ(after.peak.flops, before.peak.flops);
    EXPECT_EQ(after.token_ids, before.token_ids);
    EXPECT_TRUE(after.evaluation_pending);
}

TEST(Remembered, HasDefaultsForWhatACheckpointLacks) {
    const Remembered none = remembered_in({});
    EXPECT_EQ(none.recent_losses, "");
    EXPECT_EQ(none.peak.flops, 0.0);
    EXPECT_EQ(none.token_ids, "");
    EXPECT_FALSE(none.evaluation_pending);
    EXPECT_EQ(memory_of(none), (RunMemory{{"recent_losses", ""}}));
}

TEST(Progress, CountsSkippedStepsAsStepsAndNotAsUpdates) {
    const RunConfig config = guarded();
    const Progress first = progress_after_step({}, config, true);
    const Progress second = progress_after_step(first, config, false);
    EXPECT_EQ(first.step, 1);
    EXPECT_EQ(first.updates, 1);
    EXPECT_EQ(second.step, 2);
    EXPECT_EQ(second.updates, 1);
    EXPECT_EQ(second.consumed_samples, 8);
    EXPECT_EQ(second.consumed_tokens, 64);
}

}  // namespace
}  // namespace gpas
