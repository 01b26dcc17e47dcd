#include "io/metrics/jsonl.hpp"

#include "tests/io/metrics/metrics_support.hpp"

#include <nlohmann/json.hpp>

#include <limits>

namespace gpas::metrics_tests {
namespace {

struct Jsonl : testing::Test {
    ScratchDirectory scratch;
    path file = scratch.get() / "metrics.jsonl";

    // Steps [first, last], with an evaluation and gates after each even one.
    void write_steps(std::int64_t first, std::int64_t last, double loss) {
        JsonlSink sink(file, first - 1);
        for (std::int64_t step = first; step <= last; ++step) {
            sink.write(step_metrics(step, loss));
            if (step % 2) continue;
            sink.write(EvalMetrics{step, loss, 100, 1.0});
            sink.write(gpas_metrics(step));
        }
        sink.flush();
    }
    std::vector<nlohmann::json> records() {
        std::vector<nlohmann::json> all;
        std::ifstream in(file);
        for (std::string line; std::getline(in, line);) all.push_back(nlohmann::json::parse(line));
        return all;
    }
    std::vector<std::int64_t> steps(const char* kind) {
        std::vector<std::int64_t> found;
        for (const auto& record : records())
            if (record["kind"] == kind) found.push_back(record["step"]);
        return found;
    }
};

TEST_F(Jsonl, RecordsEveryValueExactly) {
    {
        JsonlSink sink(file, 0);
        sink.write(step_metrics(3, 0.1));
        sink.write(gpas_metrics(3));
    }
    const auto all = records();
    ASSERT_EQ(all.size(), 2u);
    const auto& step = all[0];
    EXPECT_EQ(step["loss"].get<double>(), 0.1);
    EXPECT_EQ(step["perplexity"].get<double>(), std::exp(0.1));
    EXPECT_EQ(step["consumed_tokens"], 3 * 512 * 256);
    EXPECT_EQ(step["clipped"], false);
    EXPECT_EQ(step["seconds_compute"].get<double>(), 1.5);
    EXPECT_EQ(step["resident_bytes"], std::int64_t(3) << 30);
    EXPECT_EQ(all[1]["gates"][1]["layer"], 11);
    EXPECT_EQ(all[1]["gates"][1]["raw"], -0.5);
    EXPECT_EQ(all[1]["variances"][0]["variance"], 1.5);
}

TEST_F(Jsonl, StaysJsonWhenNumbersAreNot) {
    {
        JsonlSink sink(file, 0);
        sink.write(step_metrics(1, std::numeric_limits<double>::quiet_NaN()));
        sink.write(step_metrics(2, std::numeric_limits<double>::infinity()));
    }
    for (const auto& record : records()) EXPECT_TRUE(record["loss"].is_null());
}

TEST_F(Jsonl, HoldsEachStepOnceAfterAResume) {
    write_steps(1, 10, 5.0);
    write_steps(7, 12, 4.0);
    EXPECT_EQ(steps("step"), (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
    EXPECT_EQ(steps("eval"), (std::vector<std::int64_t>{2, 4, 6, 8, 10, 12}));
    EXPECT_EQ(steps("gpas"), (std::vector<std::int64_t>{2, 4, 6, 8, 10, 12}));
    for (const auto& record : records())
        if (record["kind"] != "gpas") {
            EXPECT_EQ(record["loss"], record["step"] <= 6 ? 5.0 : 4.0);
        }
}

TEST_F(Jsonl, SurvivesALastLineTornAnywhere) {
    write_steps(1, 3, 5.0);
    const std::string whole = text_of(file);
    const std::size_t second_line = whole.find('\n') + 1;
    for (std::size_t length = second_line; length < whole.size(); length += 13) {
        std::ofstream(file, std::ios::trunc) << whole.substr(0, length);
        write_steps(4, 4, 4.0);
        const auto all = steps("step");  // parses every line
        ASSERT_FALSE(all.empty());
        EXPECT_EQ(all.front(), 1);
        EXPECT_EQ(all.back(), 4);
    }
}

TEST_F(Jsonl, OfANewRunSetsAnOlderFileAside) {
    write_steps(1, 3, 5.0);
    write_steps(1, 1, 4.0);
    write_steps(1, 2, 3.0);
    EXPECT_EQ(steps("step").size(), 2u);
    EXPECT_TRUE(std::filesystem::exists(scratch.get() / "metrics.1.jsonl"));
    EXPECT_TRUE(std::filesystem::exists(scratch.get() / "metrics.2.jsonl"));
}

TEST_F(Jsonl, KeepsAbandonedRecordsAside) {
    write_steps(1, 4, 5.0);
    const std::string before = text_of(file);
    prepare_jsonl(file, 4);
    EXPECT_EQ(text_of(file), before);
    EXPECT_FALSE(std::filesystem::exists(scratch.get() / "metrics.abandoned.jsonl"));
    for (const auto& entry : std::filesystem::directory_iterator(scratch.get()))
        EXPECT_NE(entry.path().extension(), ".tmp");
    prepare_jsonl(file, 2);
    EXPECT_EQ(steps("step"), (std::vector<std::int64_t>{1, 2}));
    file = scratch.get() / "metrics.abandoned.jsonl";
    const auto aside = records();
    EXPECT_EQ(aside.front()["kind"], "abandoned");
    EXPECT_EQ(aside.front()["resumed_step"], 2);
    EXPECT_EQ(steps("step"), (std::vector<std::int64_t>{3, 4}));
    EXPECT_EQ(steps("eval"), (std::vector<std::int64_t>{4}));
}

// An earlier process of the run may live a little longer than the start of the next one.
TEST_F(Jsonl, IsClosedToAnEarlierProcess) {
    {
        JsonlSink one(file, 0), other(file, 0);
        one.write(step_metrics(1, 9.0));
        other.write(step_metrics(1, 4.0));
        EXPECT_EQ(records().size(), 1u);
        EXPECT_EQ(records()[0]["loss"], 4.0);
    }
    write_steps(1, 3, 5.0);
    for (const std::int64_t resumed : {3, 2, 0}) {
        JsonlSink earlier(file, 3);
        JsonlSink later(file, resumed);
        earlier.write(step_metrics(4, 9.0));
        later.write(step_metrics(resumed + 1, 4.0));
        const auto all = records();
        EXPECT_EQ(all.back()["step"], resumed + 1);
        for (const auto& record : all) EXPECT_NE(record.value("loss", 0.0), 9.0);
    }
}

TEST_F(Jsonl, WritesTheScoresOfATask) {
    {
        JsonlSink sink(file, 0);
        sink.write(TaskMetrics{.step = 4,
                               .task = "sums",
                               .questions = 7,
                               .acc = {0.5, 0.1},
                               .acc_norm = {0.25, 0.2},
                               .acc_bytes = {0.75, 0.3},
                               .bits_per_byte = 1.5,
                               .seconds = 2.0});
    }
    const auto all = records();
    ASSERT_EQ(all.size(), 1u);
    const nlohmann::json expected{{"kind", "task"},       {"step", 4},
                                  {"task", "sums"},       {"questions", 7},
                                  {"acc", 0.5},           {"acc_stderr", 0.1},
                                  {"acc_norm", 0.25},     {"acc_norm_stderr", 0.2},
                                  {"acc_bytes", 0.75},    {"acc_bytes_stderr", 0.3},
                                  {"bits_per_byte", 1.5}, {"seconds", 2.0}};
    for (const auto& [key, value] : expected.items()) EXPECT_EQ(all[0].at(key), value) << key;
}

TEST_F(Jsonl, WritesNoNumberWhereThereWasNothingToMeasure) {
    {
        JsonlSink sink(file, 0);
        StepMetrics m = step_metrics(1, 0.0);
        m.loss_tokens = 0;
        sink.write(m);
        sink.write(EvalMetrics{.step = 1, .seconds = 1.0});
    }
    const auto all = records();
    ASSERT_EQ(all.size(), 2u);
    for (const auto& record : all)
        for (const char* key : {"loss", "perplexity", "gradient_norm", "gate_gradient_norm"})
            EXPECT_FALSE(record.contains(key)) << record;
    EXPECT_EQ(all[0]["loss_tokens"], 0);
    EXPECT_EQ(all[1]["tokens"], 0);
}

}  // namespace
}  // namespace gpas::metrics_tests
