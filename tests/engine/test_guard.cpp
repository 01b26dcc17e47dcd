// What decides whether numbers and ranks are suspicious.
#include "engine/guard/spikes.hpp"
#include "engine/guard/stragglers.hpp"
#include "engine/guard/verdict.hpp"
#include "engine/run/stop.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace gpas {
namespace {

SpikeHistory history_of(const GuardConfig& config, int steps) {
    SpikeHistory history(config);
    for (int i = 0; i < steps; ++i) history.add(5.0 + (i % 2 ? 0.1 : -0.1), 1.0 + (i % 2 ? 0.5 : -0.5));
    return history;
}

TEST(Spikes, are_losses_many_deviations_above_the_mean) {
    const GuardConfig config{.spike_sigmas = 6.0, .spike_window = 40};
    const SpikeHistory history = history_of(config, 40);  // mean 5, deviation 0.1
    EXPECT_FALSE(history.spike(5.0 + 0.59, 1.0));
    EXPECT_FALSE(history.spike(2.0, 1.0));  // below is no spike
    EXPECT_NE(history.spike(5.0 + 0.61, 1.0).text.find("6.1 standard deviations above 5"), std::string::npos)
        << history.spike(5.61, 1.0).text;
    EXPECT_FALSE(history.spike(5.0, 100.0));
}

TEST(Spikes, of_the_gradient_count_where_they_are_asked_for) {
    const GuardConfig config{.spike_sigmas = 6.0, .spike_window = 40, .spike_gradient = true};
    const SpikeHistory history = history_of(config, 40);  // mean 1, deviation 0.5
    EXPECT_FALSE(history.spike(5.0, 3.9));
    const Spike spike = history.spike(5.0, 4.1);
    EXPECT_EQ(spike.event, "gradient_spike");
    EXPECT_NE(spike.text.find("gradient norm"), std::string::npos) << spike.text;
    EXPECT_EQ(history.spike(9.0, 4.1).event, "loss_spike");
}

TEST(Spikes, need_a_past_and_more_than_a_hundredth_of_the_mean) {
    GuardConfig config{.spike_sigmas = 6.0, .spike_window = 40};
    EXPECT_FALSE(history_of(config, 9).spike(1e9, 1.0));  // a quarter of the window
    EXPECT_TRUE(history_of(config, 10).spike(1e9, 1.0));
    SpikeHistory flat(config);
    for (int i = 0; i < 40; ++i) flat.add(5.0, 1.0);
    EXPECT_FALSE(flat.spike(5.29, 1.0));
    EXPECT_TRUE(flat.spike(5.31, 1.0));
    config.spike_sigmas = 0.0;
    EXPECT_FALSE(history_of(config, 40).spike(1e9, 1.0));
}

TEST(Spikes, are_judged_after_a_checkpoint_as_before) {
    const GuardConfig config{.spike_sigmas = 6.0, .spike_window = 40, .spike_gradient = true};
    SpikeHistory before(config), after(config);
    for (int i = 0; i < 100; ++i) before.add(std::exp(0.1 * i) / 3.0, std::sqrt(i));
    after.restore(before.text());
    EXPECT_EQ(after.text(), before.text());
    for (const double loss : {1.0, 7e3, 9e3}) EXPECT_EQ(after.spike(loss, 5.0).text, before.spike(loss, 5.0).text);
    after.restore("");
    EXPECT_EQ(after.text(), "");
}

TEST(Verdict, is_bad_for_nan_and_inf_and_names_the_numbers) {
    const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
    for (const StepNumbers& numbers : {StepNumbers{nan, 1.0, 5}, StepNumbers{2.0, inf, 5}, StepNumbers{inf, nan, 0}}) {
        const Suspicion suspicion = suspicion_of(numbers, nullptr);
        EXPECT_TRUE(suspicion.bad);
        EXPECT_FALSE(suspicion.spike);
    }
    EXPECT_EQ(suspicion_of({nan, 1.5, 5}, nullptr).text, "loss nan, gradient norm 1.5");
    EXPECT_FALSE(suspicion_of({2.0, 1.0, 5}, nullptr));
}

TEST(Verdict, is_a_spike_only_with_loss_tokens_and_a_history) {
    SpikeHistory history(GuardConfig{.spike_sigmas = 6.0, .spike_window = 8});
    for (int i = 0; i < 8; ++i) history.add(2.0, 1.0);
    const Suspicion suspicion = suspicion_of({9.0, 1.0, 5}, &history);
    EXPECT_FALSE(suspicion.bad);
    EXPECT_EQ(suspicion.spike.event, "loss_spike");
    EXPECT_EQ(suspicion.text, suspicion.spike.text);
    EXPECT_FALSE(suspicion_of({9.0, 1.0, 0}, &history));
    EXPECT_FALSE(suspicion_of({9.0, 1.0, 5}, nullptr));
}

TEST(Verdict, follows_the_policy) {
    using Bad = TrainingConfig::OnBadNumbers;
    using OnSpike = GuardConfig::OnSpike;
    EXPECT_EQ(action_on(Bad::stop), StepAction::stop);
    EXPECT_EQ(action_on(Bad::skip), StepAction::skip);
    EXPECT_EQ(action_on(Bad::roll_back), StepAction::roll_back);
    EXPECT_EQ(action_on(OnSpike::warn), StepAction::update);
    EXPECT_EQ(action_on(OnSpike::skip), StepAction::skip);
    EXPECT_EQ(action_on(OnSpike::roll_back), StepAction::roll_back);
    EXPECT_EQ(action_on(OnSpike::stop), StepAction::stop);
    EXPECT_EQ(action_on(GuardConfig::OnDifferentWeights::stop), StepAction::stop);
    EXPECT_EQ(action_on(GuardConfig::OnDifferentWeights::roll_back), StepAction::roll_back);
    EXPECT_STREQ(event_action_of(StepAction::roll_back), "roll_back");
    EXPECT_STREQ(event_action_of(StepAction::update), "");
}

RankStatus rank_with(int rank, int stage, std::int64_t steps, double compute, double waits) {
    RankStatus status{.rank = rank, .stage = stage, .steps = steps};
    status.seconds = {0.0, compute * double(steps), waits * double(steps), 0.0};
    return status;
}

TEST(Stragglers, are_named_within_their_stage_and_their_window) {
    Stragglers stragglers(1.3, 10);
    EXPECT_TRUE(stragglers.is_due(20));
    EXPECT_FALSE(stragglers.is_due(21));
    // Stage 1 has more work than stage 0; rank 2 is slow, rank 0 waits.
    auto slow =
        stragglers.find({rank_with(0, 0, 10, 1.0, 0.4), rank_with(1, 0, 10, 1.0, 0.4), rank_with(2, 0, 10, 2.0, 0.0),
                         rank_with(3, 1, 10, 3.0, 0.0), rank_with(4, 1, 10, 3.1, 0.0)});
    ASSERT_EQ(slow.size(), 1U);
    EXPECT_EQ(slow[0].rank, 2);
    EXPECT_NE(slow[0].text.find("2.00 times"), std::string::npos) << slow[0].text;
    // The next ten steps alone: it has recovered.
    RankStatus recovered = rank_with(2, 0, 20, 1.5, 0.0);  // 2.0, then 1.0
    slow = stragglers.find({rank_with(0, 0, 20, 1.0, 0.4), rank_with(1, 0, 20, 1.0, 0.4), recovered});
    EXPECT_TRUE(slow.empty());
    EXPECT_FALSE(Stragglers(0.0, 10).is_due(10));
}

TEST(Stragglers, of_two_ranks_the_slower_is_named_and_one_alone_never) {
    Stragglers stragglers(1.3, 10);
    const auto slow = stragglers.find({rank_with(0, 0, 10, 2.0, 0.0), rank_with(1, 0, 10, 1.0, 1.0)});
    ASSERT_EQ(slow.size(), 1U);
    EXPECT_EQ(slow[0].rank, 0);
    EXPECT_TRUE(Stragglers(1.3, 10).find({rank_with(0, 0, 10, 2.0, 0.0)}).empty());
}

TEST(StopClock, asks_for_nothing_without_a_watcher) {
    StopClock clock(nullptr, 120.0);
    EXPECT_EQ(clock.after_step(1e9), StopRequest::none);
    EXPECT_TRUE(std::isinf(clock.seconds_left()));
}

}  // namespace
}  // namespace gpas
