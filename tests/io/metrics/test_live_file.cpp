#include "io/metrics/live_file.hpp"

#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <thread>

namespace gpas {
namespace {

using test_support::ScratchDirectory;

nlohmann::json read(const ScratchDirectory& directory) {
    std::ifstream file(directory.get() / "live.json");
    return nlohmann::json::parse(file);
}

std::vector<RankStatus> two_ranks() {
    RankStatus first{.rank = 0, .pid = 11, .phase = Phase::backward, .step = 7, .micro_batch = 1, .steps = 4};
    first.seconds = {0.4, 4.0, 0.0, 0.8};
    std::strcpy(first.call, "all_reduce of gradients");
    RankStatus second{.rank = 1, .pid = 12, .phase = Phase::forward, .step = 7};
    return {first, second};
}

TEST(LiveFile, shows_ranks_and_ends_with_the_last_word) {
    const ScratchDirectory directory;
    {
        LiveFile live(
            directory.get(), {.name = "small", .job = "4711", .attempt = 2, .steps_total = 12}, two_ranks,
            [] { FAIL() << "taken over"; }, [](const std::string& line) { FAIL() << line; });
        const auto json = read(directory);
        EXPECT_EQ(json["state"], "training");
        EXPECT_EQ(json["step"], 7);
        EXPECT_EQ(json["restart"], 2);
        EXPECT_TRUE(json["exit_code"].is_null());
        ASSERT_EQ(json["ranks"].size(), 2U);
        EXPECT_EQ(json["ranks"][0]["call"], "all_reduce of gradients");
        EXPECT_EQ(json["ranks"][0]["phase"], "backward");
        EXPECT_DOUBLE_EQ(json["ranks"][0]["seconds"]["compute"].get<double>(), 1.0);
        live.end("failed", 4);
    }
    EXPECT_EQ(read(directory)["state"], "failed");
    EXPECT_EQ(read(directory)["exit_code"], 4);
}

TEST(LiveFile, a_later_start_takes_the_directory_over_and_the_earlier_one_hears_of_it) {
    const ScratchDirectory directory;
    std::atomic<int> taken_over = 0, notices = 0;
    LiveFile first(directory.get(), {.name = "first"}, two_ranks, [&] { ++taken_over; }, [](const std::string&) {});
    LiveFile second(
        directory.get(), {.name = "second"}, two_ranks, [] { FAIL(); },
        [&](const std::string& line) {
            ++notices;
            EXPECT_NE(line.find("takes over"), std::string::npos);
        });
    for (int i = 0; i < 1000 && taken_over == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(taken_over, 1);
    EXPECT_EQ(notices, 1);
    EXPECT_EQ(read(directory)["name"], "second");
}

TEST(LiveFile, what_a_dead_process_has_left_is_replaced) {
    const ScratchDirectory directory;
    for (const char* left :
         {"{\"owner\": \"x\", \"time\": 1e18, \"state\": \"training\", \"pid\": 0, \"host\": \"elsewhere\"}",
          "{\"owner\"", ""}) {
        std::ofstream(directory.get() / "live.json") << left;
        LiveFile live(
            directory.get(), {.name = "next"}, two_ranks, [] { FAIL(); },
            [](const std::string& line) { FAIL() << line; });
        EXPECT_EQ(read(directory)["name"], "next");
    }
}

TEST(RecentSeconds, are_those_of_the_steps_since_the_last_question) {
    RecentSeconds recent;
    RankStatus rank{.rank = 3, .steps = 10};
    rank.seconds = {.data = 1.0, .compute = 20.0};
    EXPECT_DOUBLE_EQ(recent.of(rank).compute, 2.0);
    rank.steps = 12;
    rank.seconds.compute = 28.0;
    EXPECT_DOUBLE_EQ(recent.of(rank).compute, 4.0);
    EXPECT_DOUBLE_EQ(recent.of(rank).compute, 4.0);  // no step since
}

}  // namespace
}  // namespace gpas
