// The host enqueues a step and waits for the GPU once, for loss and norm, when all is enqueued.
#include "engine/step/step.hpp"
#include "kernels/cuda/gpu.hpp"
#include "tests/support/tiny_run.hpp"

#include <gtest/gtest.h>

namespace gpas {
namespace {

using namespace tiny_run;

struct GpuStepper {
    GpuStepper(const std::string& tokens, const std::vector<std::string>& changes)
        : config(tiny_config(tokens, "unused", changes).values),
          data(open_data(config.data, {.seed = config.seed, .vocab_size = config.model.vocab_size})),
          mesh(make_self_mesh()),
          replica(replica_shape(config, mesh.size, mesh.place, 1, true, Device::cuda), *mesh.tensor, *mesh.data),
          step(config, replica, data.train, mesh) {
        initialise(replica.context, replica.store, config.seed, *mesh.data);
    }
    // Of the host in one step.
    std::int64_t waits(const SpikeHistory* spikes = nullptr) {
        const std::int64_t before = replica.context.gpu().waits();
        result = step.run({.step = StepNumber::after(done),
                           .update = UpdateNumber::after(done),
                           .first_sample = done * config.training.global_batch_size,
                           .vote =
                               [&] {
                                   waits_before_votes = replica.context.gpu().waits() - before;
                                   return StepVote{};
                               },
                           .spikes = spikes});
        ++done;
        return replica.context.gpu().waits() - before;
    }
    RunConfig config;
    RunData data;
    Mesh mesh;
    Replica replica;
    TrainingStep step;
    StepResult result;
    std::int64_t done = 0, waits_before_votes = 0;
};

class Waits : public testing::Test {
protected:
    Waits() { write_tokens(tokens_); }
    Directory directory_;
    std::string tokens_ = directory_ / "tokens";
    const std::vector<std::string> model_{"model.head_dim=48", "training.micro_batch_size=2"};
};

TEST_F(Waits, are_one_a_step_and_at_its_end) {
    for (const char* architecture : {"pre", "sandwich_gpas"}) {
        std::vector<std::string> changes = model_;
        changes.push_back(std::string("model.architecture=") + architecture);
        GpuStepper stepper(tokens_, changes);
        // Token copies of a second step go where those of the first have been.
        for (int i = 0; i < 3; ++i) {
            EXPECT_EQ(stepper.waits(), 1) << architecture << ", step " << i;
            EXPECT_EQ(stepper.waits_before_votes, 1);
            EXPECT_EQ(stepper.result.action, StepAction::update);
        }
    }
}

TEST_F(Waits, are_one_more_for_a_step_that_is_computed_again) {
    std::vector<std::string> changes = model_;
    for (const char* change : {"guard.spike_window=8", "guard.spike_sigmas=3", "guard.on_spike=warn"})
        changes.emplace_back(change);
    GpuStepper stepper(tokens_, changes);
    SpikeHistory spikes(stepper.config.guard);
    for (const double loss : {1.0, 1.1, 1.0}) spikes.add(loss, 1.0);  // far below those of an untrained model
    EXPECT_EQ(stepper.waits(&spikes), 2);
    ASSERT_EQ(stepper.result.events.size(), 1U);
    EXPECT_EQ(stepper.result.events[0].event, "loss_spike");
    EXPECT_EQ(stepper.result.action, StepAction::update);
}

}  // namespace
}  // namespace gpas
