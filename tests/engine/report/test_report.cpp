// The data of gpas report: thinning, the axis of tokens, differences of pairs, events, and the page of runs on disk.
#include "engine/report/report.hpp"

#include "base/error.hpp"
#include "engine/report/configurations.hpp"
#include "engine/report/marks.hpp"
#include "engine/report/numbers.hpp"
#include "engine/report/pairs.hpp"
#include "engine/report/run_data.hpp"
#include "engine/report/thin.hpp"
#include "engine/report/token_axis.hpp"
#include "io/config/describe.hpp"
#include "io/metrics/jsonl.hpp"
#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <algorithm>
#include <cmath>
#include <csignal>
#include <fstream>
#include <optional>

namespace gpas {
namespace {

using test_support::ScratchDirectory;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double tokens_per_step = 1000.0;

StepView made_up_step(std::int64_t step, double loss) {
    return {.step = step,
            .loss_tokens = 1000,
            .loss = loss,
            .learning_rate = 1e-3,
            .gradient_norm = 0.5,
            .gate_gradient_norm = 0.0,
            .tokens_per_second = 2000.0,
            .mfu = 0.0,
            .consumed_tokens = double(step) * tokens_per_step,
            .seconds_data = 0.1,
            .seconds_compute = 0.3,
            .seconds_communication = 0.05,
            .seconds_optimizer = 0.05,
            .seconds_evaluation = 1.0,
            .seconds_checkpoint = 2.0,
            .resident_bytes = 1e9};
}

RunHistory made_up_history(std::int64_t steps, std::int64_t every = 1) {
    RunHistory history;
    for (std::int64_t step = every; step <= steps; step += every)
        history.steps.push_back(made_up_step(step, 5.0 - 0.001 * double(step)));
    return history;
}

TEST(Thinning, KeepsTheFirstTheLastAndEverySpike) {
    std::vector<double> values;
    for (int i = 0; i < 100'000; ++i) values.push_back(std::sin(0.01 * i));
    values.front() = 0.123;
    values.back() = 0.456;
    values[54'321] = 40.0;
    values[77'777] = -40.0;
    const std::vector<std::size_t> kept = thinned(values, 500);
    EXPECT_LE(kept.size(), 500u);
    EXPECT_GE(kept.size(), 400u);
    EXPECT_TRUE(std::ranges::is_sorted(kept));
    EXPECT_EQ(std::ranges::adjacent_find(kept), kept.end());
    for (const std::size_t i : {0u, 54'321u, 77'777u, 99'999u}) EXPECT_TRUE(std::ranges::count(kept, i)) << i;
}

TEST(Thinning, KeepsAllOfAShortSeries) {
    EXPECT_EQ(thinned(std::vector<double>{3, 1, 2, 5}, 4), (std::vector<std::size_t>{0, 1, 2, 3}));
    EXPECT_TRUE(thinned({}, 4).empty());
}

TEST(Thinning, KeepsAGap) {
    std::vector<double> values(1000, 1.0);
    std::fill(values.begin() + 400, values.begin() + 600, nan);
    const std::vector<std::size_t> kept = thinned(values, 20);
    EXPECT_TRUE(std::ranges::any_of(kept, [&](std::size_t i) { return std::isnan(values[i]); }));
    values.assign(1000, nan);
    EXPECT_GE(thinned(values, 20).size(), 2u);
}

TEST(Thinning, MeansIgnoreWhatIsNotFinite) {
    const MeanAndDeviation found = mean_and_deviation(std::vector<double>{1, nan, 3, INFINITY});
    EXPECT_EQ(found.mean, 2.0);
    EXPECT_NEAR(found.deviation, std::sqrt(2.0), 1e-12);
    EXPECT_EQ(found.count, 2u);
    EXPECT_TRUE(std::isnan(mean_and_deviation({}).mean));
    EXPECT_EQ(median_of(std::vector<double>{5, nan, 1, 2}), 2.0);
}

TEST(TokenAxis, PlacesStepsWithoutARecord) {
    const RunHistory history = made_up_history(100, 10);
    EXPECT_EQ(tokens_at(history.steps, 20), 20'000.0);
    EXPECT_EQ(tokens_at(history.steps, 25), 25'000.0);
    EXPECT_EQ(tokens_at(history.steps, 0), 0.0);
    EXPECT_EQ(tokens_at(history.steps, 3), 3'000.0);
    EXPECT_EQ(tokens_at(history.steps, 103), 100'000.0);
}

TEST(Pairs, AreFormedAtEqualTokensOnly) {
    const LossByTokens first{.tokens = {10, 20, 30, 40, 50}, .loss = {5, 4, 3, nan, 2}};
    const LossByTokens other{.tokens = {20, 25, 30, 40, 50}, .loss = {4.5, 9, 3.25, 1, 1.75}};
    const LossByTokens difference = paired_differences(first, other);
    EXPECT_EQ(difference.tokens, (std::vector<double>{20, 30, 50}));
    EXPECT_EQ(difference.loss, (std::vector<double>{0.5, 0.25, -0.25}));
    const ReportJson none = pair_json({{{10}, {1}}, {}}, {{{11}, {1}}, {}}, 10);
    EXPECT_EQ(none["numbers"]["pairs"], 0);
    EXPECT_TRUE(none["numbers"]["last_tenth"]["mean"].is_null());
}

TEST(Pairs, GiveMeansAndTheLastTenth) {
    LossByTokens first, other;
    for (int i = 1; i <= 100; ++i) {
        first.tokens.push_back(i);
        first.loss.push_back(3.0);
        other.tokens.push_back(i);
        other.loss.push_back(i <= 90 ? 3.0 : i % 2 ? 2.5 : 2.0);
    }
    const ReportJson pair = pair_json({first, {}}, {other, {}}, 10);
    EXPECT_EQ(pair["training"]["x"].size(), 10u);
    EXPECT_EQ(pair["training"]["mean"][9], -0.75);
    EXPECT_EQ(pair["training"]["x"][9], 96);
    EXPECT_NEAR(pair["training"]["low"][9].get<double>(), -0.75 - 0.263523, 1e-5);
    EXPECT_EQ(pair["numbers"]["last_tenth"]["mean"], -0.75);
    EXPECT_EQ(pair["numbers"]["last_tenth"]["count"], 10);
}

TEST(Marks, NameEachEventOnce) {
    RunHistory history = made_up_history(50);
    history.steps[9].skipped = true;   // with an event
    history.steps[19].skipped = true;  // without an event
    history.events.push_back({.step = 10, .event = "loss_spike", .action = "skip", .text = "high"});
    history.events.push_back({.step = 30, .event = "roll_back", .action = "roll_back", .text = "back"});
    history.resumed_from = {30, 40};
    const std::vector<Mark> marks = marks_of(history);
    std::vector<std::string> kinds;
    for (const Mark& mark : marks) kinds.push_back(mark.kind);
    EXPECT_EQ(kinds, (std::vector<std::string>{"loss_spike", "skipped", "roll_back", "resumed"}));
    EXPECT_EQ(marks[1].tokens, 20'000.0);
    EXPECT_EQ(marks_json(marks, 2).size(), 2u);
    EXPECT_EQ(mark_counts_json(marks)["resumed"], 1);
}

TEST(RunNumbers, CountStepsBetweenRecords) {
    const RunHistory history = made_up_history(100, 10);
    const RunSeconds seconds = seconds_by_phase(history);
    EXPECT_NEAR(seconds.compute, 30.0, 1e-9);
    EXPECT_NEAR(seconds.evaluation, 10.0, 1e-9);
    EXPECT_NEAR(seconds.total(), 50.0 + 30.0, 1e-9);
    const ReportJson numbers = numbers_json(history);
    EXPECT_EQ(numbers["steps"], 100);
    EXPECT_NEAR(numbers["training_loss"].get<double>(), 5.0 - 0.055, 1e-9);
    EXPECT_TRUE(numbers["mfu"].is_null());  // 0 is unknown
    EXPECT_TRUE(numbers["validation_loss"].is_null());
}

TEST(RunData, LeavesOutWhatNoRecordHas) {
    RunHistory history = made_up_history(200);
    history.steps[150].loss = 30.0;
    history.evaluations = {{.step = 100, .loss = 4.0, .tokens = 5}, {.step = 150, .loss = nan, .tokens = 0}};
    history.gates.add(100, {{{0, "layer"}, 0.25}, {{1, "layer"}, 0.5}});
    const ReportJson run = run_json(history, report_size(1));
    EXPECT_FALSE(run["thinned"]);
    EXPECT_EQ(run["series"]["loss"]["y"].size(), 200u);
    EXPECT_EQ(run["series"]["loss"]["y"][150], 30);
    EXPECT_EQ(run["series"]["loss"]["x"][150], 151'000);
    EXPECT_EQ(run["series"]["loss_mean"]["y"].size(), 20u);
    EXPECT_EQ(run["series"]["loss_mean"]["x"][0], 6'000);  // the middle of the steps 1 to 10
    EXPECT_FALSE(run["series"].contains("mfu"));
    EXPECT_FALSE(run["series"].contains("gate_gradient_norm"));
    EXPECT_TRUE(run["series"].contains("seconds_compute"));
    EXPECT_EQ(run["validation"]["x"], ReportJson({100'000}));
    EXPECT_EQ(run["gates"]["sites"][1]["y"], ReportJson({0.5}));
    EXPECT_TRUE(run["variances"]["sites"].empty());
}

// The promise of docs/report.md.
TEST(RunData, OfTwelveLongRunsIsSmall) {
    RunHistory history;
    for (std::int64_t step = 1; step <= 100'000; ++step) {
        StepView view = made_up_step(step, 3.0 + std::sin(0.1 * double(step)) / 7);
        view.consumed_tokens = double(step) * 131'072;
        for (double StepView::* member :
             {&StepView::learning_rate, &StepView::gradient_norm, &StepView::gate_gradient_norm,
              &StepView::tokens_per_second, &StepView::mfu, &StepView::seconds_data, &StepView::seconds_compute,
              &StepView::seconds_communication, &StepView::seconds_optimizer, &StepView::arena_bytes,
              &StepView::resident_bytes})
            view.*member = 1.0 + std::sin(0.37 * double(step)) / 3;
        history.steps.push_back(view);
        if (step % 100 != 0) continue;
        history.evaluations.push_back({.step = step, .loss = view.loss, .tokens = 1});
        std::vector<std::pair<SiteColumn, double>> readings;
        for (std::int64_t layer = 0; layer < 32; ++layer)
            for (const char* site : {"attention", "mlp"})
                readings.push_back({{layer, site}, std::sin(double(step + layer))});
        history.gates.add(step, readings);
        history.variances.add(step, readings);
    }
    const ReportJson run = run_json(history, report_size(12));
    EXPECT_TRUE(run["thinned"]);
    EXPECT_LT(12 * run.dump().size(), 4'700'000u);  // the rest of the page has less than 300 kB
}

struct RunsOnDisk : testing::Test {
    ScratchDirectory scratch;

    std::filesystem::path run(const std::string& name, double loss, double learning_rate) {
        const std::filesystem::path directory = scratch.get() / name;
        std::filesystem::create_directories(directory);
        RunConfig config;
        config.name = "</script>" + name;
        config.directory = directory;
        config.optimizer.learning_rate = learning_rate;
        std::ofstream(directory / "config.yaml") << dump_config(config);
        JsonlSink sink(directory / "metrics.jsonl", 0);
        for (std::int64_t step = 1; step <= 20; ++step) {
            StepMetrics metrics;
            metrics.step = step;
            metrics.consumed_tokens = 100 * step;
            metrics.loss_tokens = 100;
            metrics.loss = loss;
            sink.write(metrics);
        }
        return directory;
    }
    static std::string refusal(const std::vector<std::filesystem::path>& directories) {
        try {
            report_json(directories);
        } catch (const Error& error) {
            return error.what();
        }
        return "";
    }
    static std::string output_refusal(const std::string& output) {
        try {
            write_report(output, "");
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), ExitCode::usage);
            return error.what();
        }
        return "";
    }
};

bool says(const std::string& text, const std::string& words) { return text.find(words) != std::string::npos; }

TEST_F(RunsOnDisk, AreComparedWithTheFirst) {
    const std::filesystem::path a = run("a", 3.0, 1e-3), b = run("b", 2.5, 2e-3), c = run("c", 3.5, 1e-3);
    std::ofstream(c / "config.yaml") << "no_such_key: 1\n";
    const ReportJson data = report_json({a, b, c});
    EXPECT_EQ(data["runs"][1]["label"], "b");
    EXPECT_EQ(data["runs"][1]["architecture"], "pre_gpas");
    EXPECT_TRUE(data["runs"][1]["configuration"].is_null());
    EXPECT_TRUE(says(data["runs"][2]["configuration"], "no_such_key")) << data["runs"][2]["configuration"];
    ASSERT_EQ(data["pairs"].size(), 2u);
    EXPECT_EQ(data["pairs"][1]["run"], 2);
    EXPECT_EQ(data["pairs"][0]["numbers"]["last_tenth"]["mean"], -0.5);
    ASSERT_EQ(data["differences"].size(), 1u) << data["differences"];
    EXPECT_EQ(data["differences"][0]["key"], "optimizer.learning_rate");
    EXPECT_TRUE(data["differences"][0]["values"][2].is_null());
}

TEST_F(RunsOnDisk, BecomeOnePageWithoutOtherFiles) {
    const std::string page = report_page(report_json({run("a", 3.0, 1e-3)}));
    EXPECT_FALSE(says(page, "</script>a"));  // in the run's name
    for (const char* words : {"src=", "<link", "@import", "fetch("}) EXPECT_FALSE(says(page, words)) << words;
    EXPECT_TRUE(says(page, "Permission is hereby granted"));  // uPlot's licence
    const std::string begin = "id=\"data\">";
    const std::size_t from = page.find(begin) + begin.size();
    const ReportJson data = ReportJson::parse(page.substr(from, page.find("</script>", from) - from));
    EXPECT_EQ(data["runs"][0]["name"], "</script>a");
}

TEST_F(RunsOnDisk, AreRefusedInOneLine) {
    const std::filesystem::path a = run("a", 3.0, 1e-3);
    EXPECT_TRUE(says(refusal({a, scratch.get() / "." / "a"}), "given twice"));
    EXPECT_TRUE(says(refusal({a, scratch.get() / "none"}), "no such directory"));
    EXPECT_TRUE(says(refusal({scratch.get()}), "no metrics.jsonl"));
}

TEST_F(RunsOnDisk, AreNeverOverwrittenByAReport) {
    const std::filesystem::path a = run("a", 3.0, 1e-3);
    EXPECT_TRUE(says(output_refusal(a.string()), "found a directory"));
    EXPECT_TRUE(says(output_refusal(a.string() + "/"), "found a directory"));
    EXPECT_TRUE(says(output_refusal((a / "metrics.jsonl").string()), "is not a page of gpas report"));
    EXPECT_TRUE(says(output_refusal((a / "none" / "report.html").string()), "create it first"));
    const std::string page = report_page(report_json({a}));
    const std::string output = (a / "report.html").string();
    write_report(output, page);
    write_report(output, page);  // replaces the earlier report
    EXPECT_EQ(std::filesystem::file_size(output), page.size());
    EXPECT_FALSE(std::filesystem::exists(output + ".partial"));
}

TEST_F(RunsOnDisk, LeaveNoPartOfAPageOnAFullDisk) {
    const std::string output = scratch / "report.html";
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);  // a write past the limit fails instead
    const rlimit low{.rlim_cur = 1000, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &low);
    std::optional<ExitCode> code;
    try {
        write_report(output, std::string(100'000, 'x'));
    } catch (const Error& error) {
        code = error.code();
    }
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    EXPECT_EQ(code, ExitCode::environment);
    EXPECT_TRUE(std::filesystem::is_empty(scratch.get()));
}

}  // namespace
}  // namespace gpas
