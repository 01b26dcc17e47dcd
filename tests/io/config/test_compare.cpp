// How configurations differ, configurations that a checkpoint holds, and what has no effect.
#include "io/config/compare.hpp"
#include "io/config/describe.hpp"
#include "io/config/no_effect.hpp"
#include "tests/io/config/config_files.hpp"

namespace gpas {
namespace {

RunConfig run(const std::vector<std::string>& overrides = {}) {
    return load_config_text("name: run\n", "run.yaml", overrides).values;
}

TEST(Compare, NamesEveryKeyWithBothValues) {
    EXPECT_EQ(changes_text(changed_keys(run(), run())), "");
    EXPECT_EQ(changes_text(changed_keys(
                  run(), run({"model.architecture=post_gpas", "model.rope_base=5e5", "optimizer.epsilon=1e-6"}))),
              "model.architecture was pre_gpas and is now post_gpas; model.rope_base was 10000 and is now 500000; "
              "optimizer.epsilon was 1.0e-08 and is now 1.0e-06");
}

TEST(Compare, TakesTwoSpellingsForTheSame) {
    const auto same = [](const std::vector<std::string>& a, const std::vector<std::string>& b) {
        EXPECT_EQ(changes_text(changed_keys(run(a), run(b))), "");
    };
    same({}, {"model.kv_heads=8"});
    same({}, {"model.head_dim=64"});
    same({"model.architecture=post_pre"}, {"model.architecture=post_pre", "model.mix_post_layers=3"});
    same({"data.valid=v"}, {"data.valid=v", "data.valid_fraction=0"});
    EXPECT_EQ(changes_text(changed_keys(run({"data.valid_fraction=0.1"}), run({"data.valid=v"}))),
              "data.valid was [] and is now [\"v\"]; data.valid_fraction was 0.1 and is now 0");
    EXPECT_EQ(changes_text(changed_keys(run(), run({"model.kv_heads=4"}))), "model.kv_heads was 8 and is now 4");
}

TEST(Compare, ChoosesByRole) {
    const auto changes = changed_keys(run(), run({"seed=2", "model.layers=3", "metrics.every=2"}));
    EXPECT_EQ(changes_text(with_roles(changes, {KeyRole::run_math})), "seed was 1234 and is now 2");
    EXPECT_EQ(with_roles(changes, {KeyRole::model_math, KeyRole::no_math}).size(), 2u);
}

TEST(StoredConfig, HasDefaultsForWhatItsVersionDidNotHave) {
    EXPECT_EQ(changes_text(changed_keys(stored_config("seed: 5\n", "s.h5", "gpas 0.1"), run({"seed=5"}))), "");
}

TEST(StoredConfig, MayHoldWhatIsRefusedToday) {
    const RunConfig stored = stored_config("optimizer: {weight_decay: 0, decay_norms: true}\n", "s.h5", "gpas 0.1");
    EXPECT_FALSE(stored.optimizer.decay_norms);
}

TEST(StoredConfig, NamesTheKeyThatThisVersionDoesNotKnowAndWhoWroteIt) {
    expect_message(usage_error([&] { stored_config("model:\n  experts: 8\n", "s.h5", "gpas 9.9"); }),
                   "s.h5 (its configuration):2:3: model.experts: unknown key",
                   {"written by gpas 9.9", "read it with that version"});
    expect_message(usage_error([&] { stored_config("schedule: {kind: polynomial}\n", "s.h5", "gpas 9.9"); }),
                   "s.h5 (its configuration):1:18: schedule.kind: ", {"polynomial", "written by gpas 9.9"});
}

struct Ineffective {
    std::vector<std::string> because;
    std::string key;
    std::string value;
};

TEST(NoEffect, IsRefusedWithTheKeyThatMakesItSo) {
    const Ineffective all[] = {
        {{}, "model.rope_scaling.low_freq_factor", "2"},
        {{"model.rope_scaling.factor=1"}, "model.rope_scaling.high_freq_factor", "8"},
        {{}, "model.rope_scaling.original_length", "16"},
        {{"model.gate.frozen=true"}, "model.gate.stop_gradient", "false"},
        {{"model.gate.frozen=true"}, "model.gate.function", "tanh"},
        {{"model.gate.function=relu", "model.gate.init=-1"}, "model.gate.stop_gradient", "false"},
        {{"model.gate.function=relu", "model.gate.init=-1"}, "model.gate.frozen", "true"},
        {{"optimizer.weight_decay=0"}, "optimizer.decay_norms", "true"},
        {{"optimizer.weight_decay=0"}, "optimizer.decay_embeddings", "false"},
        {{"optimizer.learning_rate=0"}, "optimizer.weight_decay", "0.5"},
        {{"training.steps=8", "schedule.warmup_steps=8"}, "schedule.kind", "linear"},
        {{"training.steps=8", "schedule.warmup_steps=8"}, "schedule.min_ratio", "0.5"},
        {{"guard.weights_every=0"}, "guard.on_different_weights", "roll_back"},
        {{"guard.weights_every=0"}, "guard.max_roll_backs", "1"},
        {{"checkpoint.keep_last=0"}, "checkpoint.keep_every", "5"},
        {{"checkpoint.resume=a.h5"}, "checkpoint.init_from", "b.h5"},
        {{"metrics.jsonl=false", "metrics.tensorboard=false"}, "metrics.gpas_every", "1"},
    };
    for (const Ineffective& one : all) {
        std::vector<std::string> overrides = one.because;
        overrides.push_back(one.key + "=" + one.value);
        SCOPED_TRACE(one.key);
        const std::string message = error_of_text("name: a\n", overrides);
        EXPECT_NE(message.find(one.key + " = "), std::string::npos) << message;
        EXPECT_NE(message.find("would have no effect"), std::string::npos) << message;
    }
}

TEST(NoEffect, IsAcceptedWhereItHasOne) {
    for (const std::vector<std::string>& overrides : std::vector<std::vector<std::string>>{
             {"model.rope_scaling.factor=8", "model.rope_scaling.low_freq_factor=2"},
             {"model.gate.frozen=true", "model.gate.init=0.5", "model.gate.stop_gradient=false"},
             {"model.gate.frozen=true", "checkpoint.init_from=a.h5", "model.gate.stop_gradient=false"},
             {"optimizer.weight_decay=0.1", "optimizer.decay_norms=true"},
             {"metrics.jsonl=false", "metrics.gpas_every=1"},
             {"guard.weights_every=0", "guard.on_spike=roll_back", "guard.max_roll_backs=1"},
         }) {
        EXPECT_NO_THROW(load_config_text("name: a\n", "run.yaml", overrides)) << overrides.back();
    }
}

TEST(NoEffect, OfInitialValuesIsToldWhereWeightsComeFromAFile) {
    const RunConfig from_file = run({"checkpoint.init_from=a.h5", "model.init_std=0.1", "model.gate.init=0.5"});
    EXPECT_EQ(lines_about_ineffective_keys(from_file),
              (std::vector<std::string>{
                  "model.init_std = 0.1 has no effect: checkpoint.init_from provides the initial weights",
                  "model.gate.init = 0.5 has no effect: checkpoint.init_from provides the initial weights"}));
    EXPECT_TRUE(lines_about_ineffective_keys(run({"model.init_std=0.1"})).empty());
}

TEST(NoEffect, OfASlidingWindowThatNoSampleExceedsIsTold) {
    EXPECT_EQ(lines_about_ineffective_keys(run({"model.sliding_window=64", "data.sequence_length=64"})),
              (std::vector<std::string>{"model.sliding_window = 64 has no effect: no sample has more than "
                                        "data.sequence_length = 64 tokens"}));
    EXPECT_TRUE(lines_about_ineffective_keys(run({"model.sliding_window=63", "data.sequence_length=64"})).empty());
}

TEST(Overlay, ThatNamesValidTokensReplacesTheFractionOfTheFileBelow) {
    const ConfigFiles files;
    files.write("base.yaml", "data: {train: t, valid_fraction: 0.05}\n");
    const std::string overlay = files.write("overlay.yaml", "include: base.yaml\ndata: {valid: v}\n");
    EXPECT_EQ(load_config(overlay).values.data.valid_fraction, DataConfig().valid_fraction);
    const std::vector<std::string> both{files.path("base.yaml"), files.write("second.yaml", "data: {valid: v}\n")};
    EXPECT_EQ(load_config(both).values.data.valid_fraction, DataConfig().valid_fraction);
    EXPECT_NO_THROW(load_config(files.path("base.yaml"), {"data.valid=v"}));
    // Its own configuration, written out, reads back.
    EXPECT_NO_THROW(load_config_text(dump_config(load_config(overlay).values), "resolved.yaml"));
    // Both at once, or the fraction after the tokens, is a contradiction.
    expect_message(error_of_text("data: {valid: v, valid_fraction: 0.05}\n"),
                   "run.yaml:1:34: data.valid_fraction: ", {"no effect"});
    expect_message(usage_error([&] { load_config(overlay, {"data.valid_fraction=0.2"}); }),
                   "command line: ", {"no effect"});
    EXPECT_EQ(load_config(files.path("base.yaml"), {"data.valid=[]"}).values.data.valid_fraction, 0.05);
}

// Every number is one for YAML 1.1, too: PyYAML reads 1e-06 as text.
TEST(Numbers, AreNumbersToEveryYamlReader) {
    for (const double value : {1e-6, 1.5e-6, 1e22, -1e-300, 5e-324, 1.7976931348623157e308, 0.1, 3.0, 0.0, 1e16}) {
        const std::string text = format_value(value);
        EXPECT_EQ(text.find_first_not_of("-+.e0123456789"), std::string::npos) << text;
        const std::size_t exponent = text.find('e');
        if (exponent == std::string::npos) continue;
        EXPECT_LT(text.find('.'), exponent) << text;  // 1e-06 would be text
        EXPECT_NE(std::string("-+").find(text[exponent + 1]), std::string::npos) << text;
    }
    EXPECT_EQ(format_value(1e-6), "1.0e-06");
    EXPECT_EQ(format_value(std::vector<DataSource>{{"a", 1e-7}}), "[{path: \"a\", weight: 1.0e-07}]");
}

TEST(Numbers, SeedsMayHaveExponentsLikeIntegers) {
    EXPECT_EQ(run({"seed=1e3"}).seed, 1000u);
    EXPECT_EQ(run({"seed=18446744073709551615"}).seed, 18446744073709551615u);
}

TEST(Advice, IsNeverItselfRefused) {
    EXPECT_EQ(error_of_text("seed: -1\n").find("write"), std::string::npos);
    EXPECT_EQ(error_of_text("training: {steps: -5.0}\n").find("write"), std::string::npos);
    expect_message(error_of_text("training: {steps: 5.0}\n"), "run.yaml:1:19: training.steps: ", {"write 5"});
    for (int steps = 1; steps < 25; ++steps) {
        for (int warmup = 0; warmup < steps; ++warmup) {
            const std::vector<std::string> overrides{"training.steps=" + std::to_string(steps), "schedule.kind=wsd",
                                                     "schedule.warmup_steps=" + std::to_string(warmup)};
            const std::string message = error_of_text("name: a\n", overrides);
            const std::size_t at = message.find("set schedule.");
            ASSERT_NE(at, std::string::npos) << message;
            const std::size_t to = message.find(" to ", at);
            const std::size_t end = message.find_first_of(" (", to + 4);
            std::vector<std::string> advised = overrides;
            advised.push_back(message.substr(at + 4, to - at - 4) + "=" + message.substr(to + 4, end - to - 4));
            EXPECT_NO_THROW(load_config_text("name: a\n", "run.yaml", advised)) << message;
        }
    }
}

}  // namespace
}  // namespace gpas
