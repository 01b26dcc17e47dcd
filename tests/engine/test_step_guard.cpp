// What the guard of a step decides, with numbers that no step has computed.
#include "engine/guard/step_guard.hpp"
#include "engine/step/replica.hpp"
#include "tests/support/tiny_run.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace gpas {
namespace {

using namespace tiny_run;

class StepGuardTest : public testing::Test {
protected:
    StepGuardTest() {
        initialise(replica_.context, replica_.store, config_.seed, *mesh_.data);
        for (int i = 0; i < 8; ++i) spikes_.add(2.0, 1.0);
    }
    // The verdict on a step with `first`, which gives `second` when it is computed again.
    Verdict judge(const ComputedNumbers& first, const ComputedNumbers& second = {}) {
        again_ = 0;
        const StepAgain again{.numbers =
                                  [&] {
                                      ++again_;
                                      return second;
                                  },
                              .forward = [](NumberProbe&) { return 2.0; },
                              .gradients = [] {}};
        return StepGuard(config_, replica_.context, replica_.store, mesh_).judge({5, 32, &spikes_}, first, again);
    }
    static ComputedNumbers numbers(double loss, double norm = 1.0) { return {{loss, norm, 100}, loss * 100}; }

    RunConfig config_ = tiny_config("unused", "unused", {"guard.spike_sigmas=6", "guard.spike_window=8"}).values;
    Mesh mesh_ = make_self_mesh();
    Replica replica_{replica_shape(config_, mesh_.size, mesh_.place, 1, true), *mesh_.tensor, *mesh_.data};
    SpikeHistory spikes_{config_.guard};
    int again_ = 0;  // how often the last step was computed again
};

TEST_F(StepGuardTest, LetsGoodNumbersPassWithoutComputingAgain) {
    const Verdict verdict = judge(numbers(2.0));
    EXPECT_EQ(verdict.action, StepAction::update);
    EXPECT_TRUE(verdict.events.empty());
    EXPECT_EQ(again_, 0);
}

TEST_F(StepGuardTest, BlamesDataOrRunForASpikeThatIsComputedAgain) {
    config_.guard.on_spike = GuardConfig::OnSpike::skip;
    const Verdict verdict = judge(numbers(9.0), numbers(9.0));
    EXPECT_EQ(verdict.action, StepAction::skip);
    ASSERT_EQ(verdict.events.size(), 1U);
    EXPECT_EQ(verdict.events[0].event, "loss_spike");
    EXPECT_EQ(verdict.events[0].action, "skip");
    EXPECT_EQ(verdict.events[0].step, 5);
    EXPECT_NE(verdict.events[0].text.find("samples 32 to 39"), std::string::npos) << verdict.events[0].text;
    EXPECT_EQ(again_, 1);
}

TEST_F(StepGuardTest, BlamesHardwareForASpikeThatIsGoneWhenComputedAgain) {
    const Verdict verdict = judge(numbers(9.0), numbers(2.0));
    EXPECT_EQ(verdict.action, StepAction::update);
    ASSERT_EQ(verdict.events.size(), 1U);
    EXPECT_EQ(verdict.events[0].event, "hardware");
    EXPECT_EQ(verdict.events[0].rank, 0);
}

TEST_F(StepGuardTest, JudgesTheSecondNumbersIfTheyAreBadAsWell) {
    config_.training.on_bad_numbers = TrainingConfig::OnBadNumbers::skip;
    const Verdict verdict = judge(numbers(9.0), numbers(std::nan("")));
    EXPECT_EQ(verdict.action, StepAction::skip);
    ASSERT_EQ(verdict.events.size(), 2U);
    EXPECT_EQ(verdict.events[0].event, "hardware");
    EXPECT_EQ(verdict.events[1].event, "bad_numbers");
    EXPECT_NE(verdict.events[1].text.find("only in the sum over ranks"), std::string::npos) << verdict.events[1].text;
}

TEST_F(StepGuardTest, NamesTheWeightWithTheFirstBadNumber) {
    const Tensor weight = replica_.store.master(replica_.store.index_of("layers.1.mlp.down.weight"));
    weight.as<float>()[3] = std::nanf("");
    config_.guard.recompute = false;
    const Verdict verdict = judge(numbers(std::nan("")));
    ASSERT_EQ(verdict.events.size(), 1U);
    EXPECT_EQ(verdict.events[0].rank, 0);
    EXPECT_NE(verdict.events[0].text.find("layers.1.mlp.down.weight is nan at element 3"), std::string::npos)
        << verdict.events[0].text;
    EXPECT_EQ(again_, 0);
}

}  // namespace
}  // namespace gpas
