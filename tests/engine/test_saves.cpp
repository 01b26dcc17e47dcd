// Checkpoints of a run: written during training, tried again if a save fails, skipped if they are damaged.
#include "base/error.hpp"
#include "engine/run/saves.hpp"
#include "engine/step/replica.hpp"
#include "tests/support/tiny_run.hpp"

#include <gtest/gtest.h>

namespace gpas {
namespace {

using namespace tiny_run;
namespace fs = std::filesystem;

std::string bytes_of(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

class Saves : public testing::Test {
protected:
    Saves() { write_tokens(tokens_); }

    void run(const std::string& name, const std::vector<std::string>& changes) const {
        train(tiny_config(tokens_, directory_ / name, changes), make_self_communicator(), 1);
    }
    fs::path checkpoint(const std::string& name, std::int64_t step) const {
        return fs::path(directory_ / name) / "checkpoints" / checkpoint_file_name(step);
    }
    // One bit of the data of a weight.
    void damage(const fs::path& file) const {
        const std::vector<float> values = read_tensor(file, "weights/embedding.weight");
        std::string bytes = bytes_of(file);
        const std::string needle(reinterpret_cast<const char*>(values.data()), 64);
        const std::size_t at = bytes.find(needle);
        ASSERT_NE(at, std::string::npos);
        bytes[at + 5] = char(bytes[at + 5] ^ 8);
        std::ofstream(file, std::ios::binary) << bytes;
    }
    std::string refusal(const std::string& name, const std::vector<std::string>& changes, ExitCode code) const {
        try {
            run(name, changes);
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), code) << error.what();
            return error.what();
        }
        ADD_FAILURE() << "was accepted";
        return {};
    }

    Directory directory_;
    std::string tokens_ = directory_ / "tokens";
};

TEST_F(Saves, beside_the_training_are_the_bytes_of_saves_that_it_waits_for) {
    // Two runs of one name: it stands in the checkpoint.
    run("a/run", {"checkpoint.every=3", "checkpoint.buffer_gib=0"});
    run("b/run", {"checkpoint.every=3"});
    EXPECT_EQ(losses(directory_ / "a/run"), losses(directory_ / "b/run"));
    for (const std::int64_t step : {3, 6, 9, 12, 15, 18, 20})
        EXPECT_TRUE(tensors(directory_ / "a/run", step) == tensors(directory_ / "b/run", step)) << step;
}

TEST_F(Saves, keep_the_last_and_those_for_good) {
    run("run", {"checkpoint.every=2", "checkpoint.keep_last=2", "checkpoint.keep_every=8"});
    std::vector<std::int64_t> kept;
    for (std::int64_t step = 1; step <= 20; ++step)
        if (fs::exists(checkpoint("run", step))) kept.push_back(step);
    EXPECT_EQ(kept, (std::vector<std::int64_t>{8, 16, 18, 20}));
}

TEST_F(Saves, that_are_damaged_are_passed_over_for_the_one_before) {
    run("whole", {});
    run("run", {"checkpoint.every=5", "training.stop_after=10", "evaluation.every=0"});
    damage(checkpoint("run", 10));
    run("run", {"evaluation.every=0"});
    EXPECT_TRUE(tensors(directory_ / "run", 20) == tensors(directory_ / "whole", 20));
    EXPECT_EQ(losses(directory_ / "run"), losses(directory_ / "whole"));
}

TEST_F(Saves, that_are_all_damaged_are_no_reason_to_start_anew) {
    run("run", {"checkpoint.every=5", "training.stop_after=10"});
    for (const std::int64_t step : {5, 10}) damage(checkpoint("run", step));
    const std::string message = refusal("run", {}, ExitCode::bad_file);
    EXPECT_NE(message.find("none of its checkpoints can be read"), std::string::npos) << message;
    EXPECT_NE(message.find("embedding.weight: data damaged"), std::string::npos) << message;
    // What is named is not replaced by something else.
    EXPECT_NE(refusal("run", {"checkpoint.resume=" + checkpoint("run", 10).string()}, ExitCode::bad_file)
                  .find("embedding.weight: data damaged"),
              std::string::npos);
    run("run", {"checkpoint.resume=never", "training.stop_after=2"});
    EXPECT_TRUE(fs::exists(checkpoint("run", 2)));
    EXPECT_TRUE(fs::exists(checkpoint("run", 10).parent_path() / "set_aside_1_step_5_to_10" / "step_00000010.h5"));
}

TEST_F(Saves, give_weights_to_another_run) {
    run("first", {"training.stop_after=10"});
    run("second", {"training.stop_after=1", "seed=7", "optimizer.learning_rate=1e-30", "optimizer.weight_decay=0",
                   "checkpoint.init_from=" + checkpoint("first", 10).string()});
    const auto first = tensors(directory_ / "first", 10), second = tensors(directory_ / "second", 1);
    for (const auto& [name, values] : first)
        if (name.starts_with("weights/")) {
            EXPECT_EQ(values, second.at(name)) << name;
        }
    EXPECT_EQ(read_header(checkpoint("second", 1)).optimizer_steps, 1);
    EXPECT_NE(refusal("third", {"model.layers=3", "checkpoint.init_from=" + checkpoint("first", 10).string()},
                      ExitCode::usage)
                  .find("model.layers was 2 and is now 3"),
              std::string::npos);
}

// A file stands where the directory of checkpoints should be.
class FailingSaves : public Saves {
protected:
    FailingSaves() {
        config_ = tiny_config(tokens_, directory_ / "run",
                              {"checkpoint.every=20", "checkpoint.max_failures=3", "training.steps=100"})
                      .values;
        fs::create_directories(config_.directory);
        std::ofstream(checkpoint_directory(config_)) << "in the way";
        const MeshSize one{.tensor = 1, .data = 1, .pipeline = 1};
        replica_ = std::make_unique<Replica>(replica_shape(config_, one, {}, 1, true), *self_, *self_);
        initialise(replica_->context, replica_->store, 1, *self_);
        saves_ = std::make_unique<RunSaves>(*self_, config_, RunIdentity{}, replica_->context, replica_->store,
                                            [this](const std::string& line) { said_.push_back(line); });
    }
    void after_steps(std::int64_t first, std::int64_t last, bool end = false) {
        for (std::int64_t step = first; step <= last; ++step) saves_->after_step({.step = step}, end && step == last);
    }

    RunConfig config_;
    std::unique_ptr<Communicator> self_ = make_self_communicator();
    std::unique_ptr<Replica> replica_;
    std::unique_ptr<RunSaves> saves_;
    std::vector<std::string> said_;
};

TEST_F(FailingSaves, are_reported_and_tried_again) {
    after_steps(1, 20);
    ASSERT_EQ(said_.size(), 1U);
    EXPECT_NE(said_[0].find("saving step 20 failed, 1 of 3 times: "), std::string::npos) << said_[0];
    EXPECT_NE(said_[0].find("after step 22"), std::string::npos) << said_[0];
    fs::remove(checkpoint_directory(config_));
    after_steps(21, 21);
    EXPECT_FALSE(fs::exists(checkpoint("run", 21)));
    after_steps(22, 24);
    after_steps(25, 25, true);  // ends what is under way
    EXPECT_TRUE(verify(checkpoint("run", 22)).intact());
    EXPECT_TRUE(verify(checkpoint("run", 25)).intact());
}

TEST_F(FailingSaves, end_the_run_when_they_are_too_many) {
    after_steps(1, 23);
    EXPECT_EQ(said_.size(), 2U);
    try {
        after_steps(24, 24);
        FAIL() << "the third failure passed";
    } catch (const AgreedError& error) {
        EXPECT_EQ(error.code(), ExitCode::environment);
        EXPECT_NE(std::string(error.what()).find("saving step 24 failed, 3 times in a row"), std::string::npos)
            << error.what();
    }
}

TEST_F(FailingSaves, of_a_start_that_has_lost_its_directory_end_it) {
    fs::remove(checkpoint_directory(config_));
    saves_->set_owner([] { return false; });
    try {
        after_steps(20, 20, true);
        FAIL() << "the save was published";
    } catch (const AgreedError& error) {
        EXPECT_EQ(error.code(), ExitCode::rank_lost) << error.what();
    }
    EXPECT_FALSE(fs::exists(checkpoint("run", 20)));
}

TEST_F(FailingSaves, do_not_replace_a_file_of_the_same_step) {
    fs::remove(checkpoint_directory(config_));
    after_steps(20, 20, true);
    const std::string before = bytes_of(checkpoint("run", 20));
    after_steps(20, 20, true);
    EXPECT_TRUE(fs::exists(checkpoint("run", 20)));
    EXPECT_EQ(bytes_of(checkpoint_directory(config_) / "set_aside_1_step_20_to_20" / "step_00000020.h5"), before);
}

TEST_F(FailingSaves, at_the_end_are_tried_until_they_are_too_many) {
    EXPECT_THROW(after_steps(1, 1, true), AgreedError);
    EXPECT_EQ(said_.size(), 2U);
}

}  // namespace
}  // namespace gpas
