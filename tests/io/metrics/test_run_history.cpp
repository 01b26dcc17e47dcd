// All records of a run: whole files, files with a step twice, damaged files.
#include "io/metrics/run_history.hpp"

#include "base/error.hpp"
#include "io/metrics/jsonl.hpp"
#include "tests/io/metrics/metrics_support.hpp"

#include <chrono>
#include <cmath>

namespace gpas::metrics_tests {
namespace {

struct RunHistoryFiles : testing::Test {
    ScratchDirectory scratch;
    path directory = scratch.get();
    path file = directory / "metrics.jsonl";

    void append(const std::string& text) { std::ofstream(file, std::ios::app) << text; }
    // Steps [from, to] as a run that resumes after step from - 1 writes them, with an evaluation and gates at each 5th.
    void run_steps(std::int64_t from, std::int64_t to, double loss) {
        JsonlSink sink(file, from - 1);
        for (std::int64_t step = from; step <= to; ++step) {
            sink.write(step_metrics(step, loss));
            if (step % 5 != 0) continue;
            sink.write(gpas_metrics(step));
            sink.write(EvalMetrics{step, loss, 100, 1.0});
        }
    }
    std::string refusal() {
        try {
            read_history(directory);
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), ExitCode::bad_file);
            return error.what();
        }
        return "";
    }
};

bool says(const std::string& text, const std::string& words) { return text.find(words) != std::string::npos; }

TEST_F(RunHistoryFiles, HoldEveryRecord) {
    run_steps(1, 20, 3.0);
    append(R"({"kind":"task","step":20,"task":"hellaswag"})"
           "\n");
    append(R"({"kind":"event","step":20,"time":1.0,"event":"loss_spike","action":"skip","rank":3,"text":"high"})"
           "\n");
    append(R"({"kind":"step","step":21,"consu)");  // not yet complete
    const RunHistory history = read_history(directory);
    ASSERT_EQ(history.steps.size(), 20u);
    EXPECT_EQ(history.steps[4].step, 5);
    EXPECT_EQ(history.steps[4].loss, 3.0);
    EXPECT_EQ(history.steps[4].consumed_tokens, 5.0 * 512 * 256);
    ASSERT_EQ(history.evaluations.size(), 4u);
    EXPECT_EQ(history.gates.steps, (std::vector<std::int64_t>{5, 10, 15, 20}));
    ASSERT_EQ(history.gates.columns.size(), 2u);
    EXPECT_EQ(history.gates.columns[1], (SiteColumn{11, "mlp"}));
    EXPECT_EQ(history.gates.rows[3], (std::vector<double>{0.25, -0.125}));
    EXPECT_EQ(history.variances.rows[0], (std::vector<double>{1.5, 9.0}));
    ASSERT_EQ(history.events.size(), 1u);
    EXPECT_EQ(history.events[0].rank, 3);
    EXPECT_TRUE(history.resumed_from.empty());
}

TEST_F(RunHistoryFiles, HoldTheStepsOfTheResumedRun) {
    run_steps(1, 20, 3.0);
    run_steps(11, 15, 2.0);
    const RunHistory history = read_history(directory);
    ASSERT_EQ(history.steps.size(), 15u);
    EXPECT_EQ(history.steps[9].loss, 3.0);
    EXPECT_EQ(history.steps[10].loss, 2.0);
    EXPECT_EQ(history.resumed_from, std::vector<std::int64_t>{10});
    // A new run in the directory does not inherit the resumes of the earlier run, which ended before now.
    std::filesystem::last_write_time(file, std::filesystem::file_time_type::clock::now() + std::chrono::seconds(5));
    run_steps(1, 15, 1.0);
    EXPECT_TRUE(read_history(directory).resumed_from.empty());
}

// As in a file that was made by appending the records of two starts.
TEST_F(RunHistoryFiles, ReplaceAStepThatOccursTwice) {
    run_steps(1, 20, 3.0);
    const std::string first = text_of(file);
    std::filesystem::remove(file);
    run_steps(1, 12, 2.0);
    const std::string again = text_of(file);
    const std::size_t after_6 = again.find(R"({"kind":"step","step":7,)");
    std::ofstream(file) << first << again.substr(after_6);
    const RunHistory history = read_history(directory);
    ASSERT_EQ(history.steps.size(), 12u);
    EXPECT_EQ(history.steps[5].loss, 3.0);
    EXPECT_EQ(history.steps[6].loss, 2.0);
    ASSERT_EQ(history.evaluations.size(), 2u);
    EXPECT_EQ(history.evaluations[0].loss, 3.0);
    EXPECT_EQ(history.evaluations[1].loss, 2.0);
    EXPECT_EQ(history.gates.steps, (std::vector<std::int64_t>{5, 10}));
}

TEST_F(RunHistoryFiles, AreRefusedWithTheLine) {
    EXPECT_TRUE(says(refusal(), "no metrics.jsonl")) << refusal();
    EXPECT_TRUE(says(refusal(), "gpas train")) << refusal();
    run_steps(1, 3, 3.0);
    append("{\"kind\":\"step\"\n");
    EXPECT_TRUE(says(refusal(), file.string() + ":4: found '{\"kind\":\"step\"'")) << refusal();
    std::ofstream(file) << R"({"kind":"step","step":1,"loss":3.0})"
                           "\n";
    EXPECT_TRUE(says(refusal(), ":1: found")) << refusal();
    std::ofstream(file) << R"({"kind":"eval","step":1,"loss":3.0})"
                           "\n";
    EXPECT_TRUE(says(refusal(), "no record of a step")) << refusal();
    directory /= "absent";
    EXPECT_TRUE(says(refusal(), "no such directory")) << refusal();
}

TEST(SiteTable, GrowsByNewSites) {
    SiteTable table;
    table.add(1, {{{0, "layer"}, 1.0}});
    table.add(2, {{{1, "layer"}, 2.0}, {{0, "layer"}, 3.0}});
    table.add(3, {});
    ASSERT_EQ(table.columns.size(), 2u);
    EXPECT_EQ(table.steps, (std::vector<std::int64_t>{1, 2}));
    EXPECT_EQ(table.rows[1], (std::vector<double>{3.0, 2.0}));
    table.forget_from(2);
    EXPECT_EQ(table.rows.size(), 1u);
}

}  // namespace
}  // namespace gpas::metrics_tests
