#include "base/error.hpp"
#include "tests/io/metrics/metrics_support.hpp"

namespace gpas::metrics_tests {
namespace {

struct Seen {
    std::vector<std::int64_t> steps;
    std::vector<StepSeconds> seconds;
    int others = 0, flushes = 0;
};

class SeeingSink final : public MetricsSink {
public:
    explicit SeeingSink(Seen& seen, std::int64_t fails_at = 0) : seen_(seen), fails_at_(fails_at) {}
    void write(const StepMetrics& m) override {
        if (m.step == fails_at_) fail(ExitCode::environment, "no space left on device");
        seen_.steps.push_back(m.step);
        seen_.seconds.push_back(m.seconds);
    }
    void write(const EvalMetrics&) override { ++seen_.others; }
    void write(const TaskMetrics&) override { ++seen_.others; }
    void write(const GpasMetrics&) override { ++seen_.others; }
    void write(const EventMetrics&) override { ++seen_.others; }
    void flush() override { ++seen_.flushes; }

private:
    Seen& seen_;
    std::int64_t fails_at_;
};

MetricsOptions quiet(const path& directory) {
    MetricsOptions options;
    options.directory = directory;
    options.console = options.jsonl = options.tensorboard = false;
    return options;
}

TEST(Writer, WritesEveryNthStepAndTheLastAndEverySkippedOne) {
    ScratchDirectory scratch;
    MetricsOptions options = quiet(scratch.get());
    options.every = 10;
    Seen seen;
    MetricsWriter writer(options);
    writer.add(std::make_unique<SeeingSink>(seen));
    for (std::int64_t step = 1; step <= 25; ++step) {
        StepMetrics m = step_metrics(step, 1.0);
        m.steps_total = 25;
        m.skipped = step == 13;
        writer.write(m);
    }
    EXPECT_EQ(seen.steps, (std::vector<std::int64_t>{10, 13, 20, 25}));
}

TEST(Writer, GivesEachRecordTheEvaluationsAndSavesSinceTheOneBefore) {
    ScratchDirectory scratch;
    MetricsOptions options = quiet(scratch.get());
    options.every = 10;
    Seen seen;
    MetricsWriter writer(options);
    writer.add(std::make_unique<SeeingSink>(seen));
    for (std::int64_t step = 1; step <= 30; ++step) {
        StepMetrics m = step_metrics(step, 1.0);
        // After steps 3, 7, 10 and 20, so it is printed with the step after.
        m.seconds.evaluation = step == 4 ? 1.0 : step == 8 ? 2.0 : step == 11 ? 4.0 : step == 21 ? 8.0 : 0.0;
        m.seconds.checkpoint = step == 11 ? 0.5 : 0.0;
        writer.write(m);
    }
    ASSERT_EQ(seen.steps, (std::vector<std::int64_t>{10, 20, 30}));
    EXPECT_EQ(seen.seconds[0].evaluation, 3.0);
    EXPECT_EQ(seen.seconds[1].evaluation, 4.0);
    EXPECT_EQ(seen.seconds[2].evaluation, 8.0);
    EXPECT_EQ(seen.seconds[0].checkpoint, 0.0);
    EXPECT_EQ(seen.seconds[1].checkpoint, 0.5);
    EXPECT_EQ(seen.seconds[1].data, 0.125);  // of the step itself
}

TEST(Writer, SwitchesOffASinkThatFailsAndKeepsTheOthers) {
    ScratchDirectory scratch;
    Seen failing, healthy;
    MetricsWriter writer(quiet(scratch.get()));
    writer.add(std::make_unique<SeeingSink>(failing, 2));
    writer.add(std::make_unique<SeeingSink>(healthy));
    testing::internal::CaptureStderr();
    for (std::int64_t step = 1; step <= 4; ++step) writer.write(step_metrics(step, 1.0));
    writer.flush();
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "metrics: no space left on device: no more records are written to this file; the run continues\n");
    EXPECT_EQ(failing.steps, std::vector<std::int64_t>{1});
    EXPECT_EQ(healthy.steps, (std::vector<std::int64_t>{1, 2, 3, 4}));
    EXPECT_EQ(healthy.flushes, 1);
    EXPECT_EQ(failing.flushes, 0);
}

TEST(Writer, MakesItsFilesAndThatOfAnotherRankMakesNone) {
    ScratchDirectory scratch;
    MetricsOptions options;
    options.directory = scratch.get() / "run";
    MetricsWriter other_rank(options, false);
    other_rank.write(step_metrics(1, 1.0));
    EXPECT_FALSE(std::filesystem::exists(options.directory));
    testing::internal::CaptureStderr();
    MetricsWriter writer(options);
    writer.write(step_metrics(1, 1.0));
    writer.write(EvalMetrics{1, 2.0, 10, 1.0});
    writer.write(gpas_metrics(1));
    writer.write(TaskMetrics{.step = 1, .task = "sums"});
    writer.flush();
    EXPECT_NE(testing::internal::GetCapturedStderr().find("step    1/1000"), std::string::npos);
    EXPECT_TRUE(std::filesystem::exists(options.directory / "metrics.jsonl"));
    EXPECT_TRUE(std::filesystem::exists(options.directory / "tensorboard"));
}

TEST(Writer, SaysWhereItCannotWrite) {
    MetricsOptions options;
    options.directory = "/proc/gpas";
    try {
        MetricsWriter writer(options);
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::environment);
        EXPECT_NE(std::string(error.what()).find("/proc/gpas"), std::string::npos);
    }
}

TEST(ResidentBytes, AreSome) { EXPECT_GT(resident_bytes(), 1 << 20); }

}  // namespace
}  // namespace gpas::metrics_tests
