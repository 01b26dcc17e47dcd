// One training step: normalisation, clipping, decay, frozen gates, bad numbers.
#include "base/error.hpp"
#include "engine/step/step.hpp"
#include "kernels/ops.hpp"
#include "tests/support/tiny_run.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace gpas {
namespace {

using namespace tiny_run;

// A step of the tiny run, by hand.
struct Stepper {
    explicit Stepper(const std::string& tokens, const std::vector<std::string>& changes = {})
        : config(tiny_config(tokens, "unused", changes).values),
          data(open_data(config.data, {.seed = config.seed, .vocab_size = config.model.vocab_size})),
          mesh(make_self_mesh()),
          replica(replica_shape(config, mesh.size, mesh.place, 1, true), *mesh.tensor, *mesh.data),
          step(config, replica, data.train, mesh) {
        initialise(replica.context, replica.store, config.seed, *mesh.data);
    }
    std::vector<float> weights(const std::string& name) const {
        const Tensor w = replica.store.master(replica.store.index_of(name));
        return {w.as<float>(), w.as<float>() + w.elements()};
    }
    RunConfig config;
    RunData data;
    Mesh mesh;
    Replica replica;
    TrainingStep step;
};

class Step : public testing::Test {
protected:
    Step() { write_tokens(tokens_); }
    Directory directory_;
    std::string tokens_ = directory_ / "tokens";
};

double relative(const std::vector<float>& a, const std::vector<float>& b) {
    double difference = 0.0, size = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        difference += std::pow(double(a[i]) - double(b[i]), 2);
        size += std::pow(double(b[i]), 2);
    }
    return std::sqrt(difference / size);
}

TEST_F(Step, does_not_depend_on_how_the_global_batch_is_cut) {
    Stepper whole(tokens_, {"training.micro_batch_size=8"});
    Stepper parts(tokens_, {"training.micro_batch_size=2"});
    const StepResult a = whole.step.run({.step = {1}, .update = {1}, .first_sample = 0}),
                     b = parts.step.run({.step = {1}, .update = {1}, .first_sample = 0});
    EXPECT_EQ(a.loss_tokens, b.loss_tokens);
    EXPECT_NEAR(a.loss, b.loss, 16 * 0x1p-24 * a.loss);
    EXPECT_NEAR(a.gradient_norm, b.gradient_norm, 64 * 0x1p-24 * a.gradient_norm);
    const char* name = "layers.1.mlp.down.weight";
    const Tensor ga = whole.replica.store.gradient(whole.replica.store.index_of(name));
    const Tensor gb = parts.replica.store.gradient(parts.replica.store.index_of(name));
    // Two orders of a sum of 128 tokens' terms.
    EXPECT_LT(
        relative({ga.as<float>(), ga.as<float>() + ga.elements()}, {gb.as<float>(), gb.as<float>() + gb.elements()}),
        128 * 0x1p-24);
}

// Gradients of the two micro-batches of a step, each by its own number of tokens, and of both by their sum.
TEST_F(Step, averages_over_tokens_or_over_micro_batches) {
    const std::vector<std::string> padded{"data.mode=padded", "data.mask_documents=false", "data.sequence_length=40"};
    const auto gradient = [&](std::vector<std::string> changes, std::int64_t first_sample, StepResult& result) {
        changes.insert(changes.begin(), padded.begin(), padded.end());
        Stepper stepper(tokens_, changes);
        result = stepper.step.run({.step = {1}, .update = {1}, .first_sample = first_sample});
        // The first moment is (1 - beta1) times the clipped gradient.
        const Tensor m = stepper.replica.store.adam_m(stepper.replica.store.index_of("layers.1.mlp.down.weight"));
        std::vector<float> values(m.as<float>(), m.as<float>() + m.elements());
        return std::pair(values, result.gradient_norm);
    };
    const std::vector<std::string> no_clip{"optimizer.clip_grad=0"};
    const auto with = [&](std::vector<std::string> more) {
        more.insert(more.end(), no_clip.begin(), no_clip.end());
        return more;
    };
    StepResult first, second, tokens, batches;
    const std::vector<std::string> half{"training.global_batch_size=4"};
    const auto a = gradient(with(half), 0, first).first, b = gradient(with(half), 4, second).first;
    ASSERT_NE(first.loss_tokens, second.loss_tokens);
    const auto by_tokens = gradient(no_clip, 0, tokens).first;
    const auto by_batches = gradient(with({"training.loss_mean=micro_batches"}), 0, batches).first;
    std::vector<float> expected_tokens(a.size()), expected_batches(a.size());
    const double share = double(first.loss_tokens) / double(first.loss_tokens + second.loss_tokens);
    for (std::size_t i = 0; i < a.size(); ++i) {
        expected_tokens[i] = float(share * double(a[i]) + (1.0 - share) * double(b[i]));
        expected_batches[i] = float(0.5 * double(a[i]) + 0.5 * double(b[i]));
    }
    // Two orders of a sum of some 250 tokens' terms.
    EXPECT_LT(relative(by_tokens, expected_tokens), 256 * 0x1p-24);
    EXPECT_LT(relative(by_batches, expected_batches), 256 * 0x1p-24);
    EXPECT_GT(relative(expected_batches, expected_tokens), 1e-3);
    EXPECT_EQ(tokens.loss, batches.loss);  // reported over tokens in both
}

// AdamW's first update is lr · sign-like and blind to the size of the gradient; its first moment is not.
TEST_F(Step, clips_all_gradients_by_their_norm_and_then_the_gates_by_theirs) {
    const auto first_moment = [&](const std::vector<std::string>& changes, const std::string& name,
                                  StepResult& result) {
        Stepper stepper(tokens_, changes);
        for (std::size_t i = 0; i < stepper.replica.store.specs().size();
             ++i)  // open the gates, so that they have gradients
            if (stepper.replica.store.specs()[i].kind == ParameterKind::gate)
                stepper.replica.store.master(i).as<float>()[0] = 0.3F;
        result = stepper.step.run({.step = {1}, .update = {1}, .first_sample = 0});
        const Tensor m = stepper.replica.store.adam_m(stepper.replica.store.index_of(name));
        return double(m.as<float>()[0]);
    };
    StepResult plain, clipped, both;
    const double weight = first_moment({"optimizer.clip_grad=0"}, "layers.0.mlp.down.weight", plain);
    EXPECT_FALSE(plain.clipped || plain.gates_clipped);
    const double limit = plain.gradient_norm / 3.0;
    const std::string clip = "optimizer.clip_grad=" + std::to_string(limit);
    const double factor = std::stod(std::to_string(limit)) / (plain.gradient_norm + 1e-6);
    EXPECT_NEAR(first_moment({clip}, "layers.0.mlp.down.weight", clipped) / weight, factor, 1e-6);
    EXPECT_TRUE(clipped.clipped && !clipped.gates_clipped);
    EXPECT_DOUBLE_EQ(clipped.gradient_norm, plain.gradient_norm);  // reported before clipping

    const double gate = first_moment({"optimizer.clip_grad=0"}, "layers.0.gate", plain);
    const double gate_limit = factor * plain.gate_gradient_norm / 2.0;
    const std::string gate_clip = fmt::format("optimizer.clip_gate_grad={:.17g}", gate_limit);
    const double gate_factor = gate_limit / (factor * plain.gate_gradient_norm + 1e-6);
    EXPECT_NEAR(first_moment({clip, gate_clip}, "layers.0.gate", both) / gate, factor * gate_factor, 1e-5);
    EXPECT_TRUE(both.clipped && both.gates_clipped);
}

TEST_F(Step, decays_matrices_and_leaves_gates_and_norms_alone) {
    const std::vector<std::string> common{"optimizer.learning_rate=0.1", "schedule.warmup_steps=0",
                                          "schedule.kind=constant", "model.gate.init=0.5"};
    const auto changed = [&](const char* decay) {
        std::vector<std::string> all = common;
        all.emplace_back(decay);
        return all;
    };
    Stepper plain(tokens_, changed("optimizer.weight_decay=0")),
        decayed(tokens_, changed("optimizer.weight_decay=0.5"));
    const auto start = plain.weights("layers.0.mlp.down.weight");
    plain.step.run({.step = {1}, .update = {1}, .first_sample = 0});
    decayed.step.run({.step = {1}, .update = {1}, .first_sample = 0});
    const auto a = plain.weights("layers.0.mlp.down.weight"), b = decayed.weights("layers.0.mlp.down.weight");
    for (std::size_t i = 0; i < a.size(); ++i)  // both were rounded, at a size of the update, 0.1
        EXPECT_NEAR(double(b[i]) - double(a[i]), -0.1 * 0.5 * double(start[i]), 8 * 0x1p-24 * 0.1);
    for (const char* untouched : {"layers.0.mlp.pre_norm.weight", "layers.0.gate"})
        EXPECT_EQ(decayed.weights(untouched), plain.weights(untouched));
}

TEST_F(Step, moves_gates_unless_they_are_frozen) {
    Stepper free(tokens_), frozen(tokens_, {"model.gate.frozen=true", "model.gate.init=0.25"});
    free.step.run({.step = {1}, .update = {1}, .first_sample = 0});
    frozen.step.run({.step = {1}, .update = {1}, .first_sample = 0});
    EXPECT_NE(free.weights("layers.0.gate")[0], 0.0F);
    EXPECT_EQ(frozen.weights("layers.0.gate")[0], 0.25F);
}

TEST_F(Step, names_the_step_the_rank_and_the_tensor_of_bad_numbers_and_stops) {
    Stepper stepper(tokens_);
    stepper.replica.store.master(stepper.replica.store.index_of("layers.1.attention.out.weight")).as<float>()[3] = NAN;
    const StepResult result = stepper.step.run({.step = {7}, .update = {7}, .first_sample = 48});
    EXPECT_EQ(result.action, StepAction::stop);
    ASSERT_EQ(result.events.size(), 1U);
    const EventMetrics& event = result.events.front();
    EXPECT_EQ(event.step, 7);
    EXPECT_EQ(event.rank, 0);
    EXPECT_EQ(event.event, "bad_numbers");
    for (const char* part : {"rank 0", "layers.1.attention.out.weight", "element 3", "same bits"})
        EXPECT_NE(event.text.find(part), std::string::npos) << event.text;
}

TEST_F(Step, skips_an_update_with_bad_numbers_and_changes_nothing) {
    Stepper stepper(tokens_, {"training.on_bad_numbers=skip"});
    float& bad =
        stepper.replica.store.master(stepper.replica.store.index_of("layers.1.attention.out.weight")).as<float>()[3];
    const float good = bad;
    bad = INFINITY;
    const auto before = stepper.weights("layers.0.mlp.down.weight");
    const StepResult result = stepper.step.run({.step = {1}, .update = {1}, .first_sample = 0});
    EXPECT_EQ(result.action, StepAction::skip);
    EXPECT_NE(result.events.at(0).text.find("layers.1.attention.out.weight"), std::string::npos);
    EXPECT_EQ(stepper.weights("layers.0.mlp.down.weight"), before);
    const Tensor m = stepper.replica.store.adam_m(0);
    for (std::int64_t i = 0; i < m.elements(); ++i) ASSERT_EQ(m.as<float>()[i], 0.0F);
    bad = good;
    EXPECT_EQ(stepper.step.run({.step = {2}, .update = {1}, .first_sample = 8}).action, StepAction::update);
}

TEST_F(Step, ends_a_run_that_only_skips) {
    // Gates that multiply the stream by -99 at each of 24 sites: fp32 ends at 3e38.
    try {
        train(tiny_config(tokens_, directory_ / "run",
                          {"training.on_bad_numbers=skip", "training.max_skipped_steps=3", "model.gate.init=100",
                           "model.gate.function=identity", "model.layers=12"}),
              make_self_communicator(), 1);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::bad_numbers);
        EXPECT_NE(std::string(error.what()).find("3 steps in a row"), std::string::npos) << error.what();
    }
}

}  // namespace
}  // namespace gpas
