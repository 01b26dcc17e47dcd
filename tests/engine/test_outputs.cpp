// The files that rank 0 writes about a run, without MPI.
#include "engine/run/outputs.hpp"
#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace gpas {
namespace {

class Outputs : public testing::Test {
protected:
    RunOutputs outputs_of(int rank) {
        return RunOutputs(config_, rank, nullptr, [](const std::string& line) { FAIL() << line; });
    }
    std::string text_of(const char* name) const {
        std::ifstream file(directory_.get() / "run" / name);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    bool exists(const char* name) const { return std::filesystem::exists(directory_.get() / "run" / name); }
    static EventMetrics event_at(std::int64_t step) { return {.step = step, .event = "spike", .text = "x"}; }

    test_support::ScratchDirectory directory_;
    RunConfig config_ = [this] {
        RunConfig config;
        config.directory = (directory_.get() / "run").string();
        config.metrics.tensorboard = false;
        return config;
    }();
};

TEST_F(Outputs, of_rank_0_are_the_configuration_and_the_metrics) {
    RunOutputs outputs = outputs_of(0);
    outputs.take_directory();
    EXPECT_FALSE(outputs.writes());
    outputs.open("name: x\n", 0);
    EXPECT_TRUE(outputs.writes());
    outputs.write(event_at(3));
    outputs.flush();
    EXPECT_EQ(text_of("config.yaml"), "name: x\n");
    EXPECT_NE(text_of("metrics.jsonl").find("\"step\":3"), std::string::npos) << text_of("metrics.jsonl");
    EXPECT_FALSE(exists("live.json"));  // without a watcher
    EXPECT_FALSE(outputs.owned_by_another());
}

TEST_F(Outputs, of_other_ranks_are_none) {
    RunOutputs outputs = outputs_of(1);
    outputs.take_directory();
    outputs.open("name: x\n", 0);
    outputs.write(event_at(3));
    outputs.flush();
    outputs.end("ended", ExitCode::ok);
    EXPECT_FALSE(outputs.writes());
    EXPECT_FALSE(std::filesystem::exists(directory_.get() / "run"));
}

TEST_F(Outputs, lose_the_records_of_later_steps_when_the_run_returns_to_a_step) {
    RunOutputs outputs = outputs_of(0);
    outputs.take_directory();
    outputs.open("", 0);
    for (const std::int64_t step : {2, 3, 4}) outputs.write(event_at(step));
    outputs.reopen_metrics(3);
    outputs.write(event_at(5));
    outputs.flush();
    const std::string text = text_of("metrics.jsonl");
    EXPECT_NE(text.find("\"step\":3"), std::string::npos) << text;
    EXPECT_EQ(text.find("\"step\":4"), std::string::npos) << text;
    EXPECT_NE(text.find("\"step\":5"), std::string::npos) << text;
}

TEST_F(Outputs, refuse_a_directory_that_cannot_be_made) {
    std::ofstream(directory_.get() / "run") << "a file";
    RunOutputs outputs = outputs_of(0);
    EXPECT_THROW(outputs.take_directory(), Error);
}

}  // namespace
}  // namespace gpas
