// What a profiler is told about a run on the (emulated) GPU: names that nest, and the steps to record.
#include "tests/hostcuda/profiling.hpp"
#include "tests/support/tiny_run.hpp"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace gpas {
namespace {

using namespace tiny_run;
using Log = std::vector<std::string>;

class Profile : public testing::Test {
protected:
    Profile() { write_tokens(directory_ / "tokens"); }

    Log log_of_run(Device device, const std::vector<std::string>& changes) const {
        std::vector<std::string> settings{"training.steps=4", "evaluation.every=4", "checkpoint.every=0"};
        settings.insert(settings.end(), changes.begin(), changes.end());
        hostcuda::profiler_log().clear();
        const std::string run = directory_ / "run";
        std::filesystem::remove_all(run);
        train(tiny_config(directory_ / "tokens", run, settings), make_self_communicator(), 1, {.device = device});
        return std::exchange(hostcuda::profiler_log(), {});
    }

    Directory directory_;
};

// The names that are open when each span begins, outermost first, as "step 1 > layer 0 forward".
Log paths(const Log& log) {
    Log open, found;
    for (const std::string& line : log) {
        if (line.starts_with("begin ")) {
            open.push_back(line.substr(6));
            found.push_back(fmt::format("{}", fmt::join(open, " > ")));
        } else if (line == "end") {
            EXPECT_FALSE(open.empty());
            if (!open.empty()) open.pop_back();
        }
    }
    EXPECT_TRUE(open.empty());
    return found;
}

TEST_F(Profile, names_steps_micro_batches_layers_and_phases) {
    const Log found = paths(log_of_run(Device::cuda, {"metrics.nvtx=true"}));
    for (const char* expected : {
             "step 1",
             "step 4",
             "step 2 > forward of micro-batch 1, chunk 0 > layer 1 forward",
             "step 2 > backward of micro-batch 1, chunk 0 > head forward and backward",
             "step 2 > backward of micro-batch 0, chunk 0 > layer 0 backward",
             "step 3 > reduction of gradients",
             "step 3 > optimizer",
             "evaluation > forward of micro-batch 1, chunk 0 > head forward",
             "checkpoint",
         })
        EXPECT_EQ(std::ranges::count(found, expected), 1) << expected;
    EXPECT_EQ(std::ranges::count_if(found, [](const std::string& path) { return path.find(" > ") == path.npos; }),
              4 + 1 + 1);  // steps, evaluation, checkpoint
}

TEST_F(Profile, names_nothing_unless_asked_and_never_on_the_cpu) {
    EXPECT_EQ(log_of_run(Device::cuda, {}), Log{});
    EXPECT_EQ(log_of_run(Device::cpu, {"metrics.nvtx=true", "metrics.profile.from=1", "metrics.profile.to=2"}), Log{});
}

TEST_F(Profile, records_the_steps_of_the_window) {
    const Log log = log_of_run(Device::cuda, {"metrics.nvtx=true", "metrics.profile.from=2", "metrics.profile.to=3"});
    const auto place = [&](const char* line) { return std::ranges::find(log, line) - log.begin(); };
    EXPECT_EQ(std::ranges::count(log, "start"), 1);
    EXPECT_EQ(std::ranges::count(log, "stop"), 1);
    EXPECT_EQ(place("start") + 1, place("begin step 2"));
    EXPECT_LT(place("begin step 3"), place("stop"));
    EXPECT_LT(place("stop"), place("begin step 4"));
    EXPECT_EQ(paths(Log(log.begin() + place("start"), log.begin() + place("stop"))).front(), "step 2");
}

TEST_F(Profile, ends_the_recording_of_a_run_that_ends_within_the_window) {
    const std::vector<std::string> window{"metrics.profile.from=2", "metrics.profile.to=4", "training.stop_after=2"};
    EXPECT_EQ(log_of_run(Device::cuda, window), (Log{"start", "stop"}));
}

}  // namespace
}  // namespace gpas
