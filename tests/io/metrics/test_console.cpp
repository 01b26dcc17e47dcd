#include "io/metrics/console.hpp"

#include "io/metrics/progress_bar.hpp"
#include "io/metrics/text.hpp"
#include "tests/io/metrics/metrics_support.hpp"

#include <limits>

namespace gpas::metrics_tests {
namespace {

TEST(Text, ShowsDurationsAndQuantitiesInThreeDigits) {
    EXPECT_EQ(duration_text(0.4), "0s");
    EXPECT_EQ(duration_text(59.6), "1m00s");
    EXPECT_EQ(duration_text(725), "12m05s");
    EXPECT_EQ(duration_text(3 * 3600 + 7 * 60), "3h07m");
    EXPECT_EQ(duration_text(52 * 3600), "2d04h");
    EXPECT_EQ(duration_text(std::numeric_limits<double>::quiet_NaN()), "?");
    EXPECT_EQ(duration_text(-1), "?");
    EXPECT_EQ(quantity_text(999), "999");
    EXPECT_EQ(quantity_text(999.7), "1.00k");
    EXPECT_EQ(quantity_text(12345), "12.3k");
    EXPECT_EQ(quantity_text(999960), "1.00M");
    EXPECT_EQ(quantity_text(1.2e9), "1.20G");
    EXPECT_EQ(quantity_text(std::numeric_limits<double>::infinity()), "?");
}

TEST(Console, LineShowsTheStepAtAGlance) {
    StepMetrics m = step_metrics(120, 7.1034);
    m.seconds_left = 3725;
    EXPECT_EQ(
        console_line(m),
        "step  120/1000  12.0%  loss  7.1034  ppl  1216.09  lr 6.00e-04  grad  0.8125  gates 1.0e-02   65.5k tok/s"
        "  MFU 26.2%  eta  1h02m");
}

TEST(Console, LinesOfOneRunAreEquallyLong) {
    const std::size_t length = console_line(step_metrics(1, 10.9)).size();
    StepMetrics last = step_metrics(1000, 2.5);
    last.seconds_left = 9;
    EXPECT_EQ(console_line(last).size(), length);
    EXPECT_EQ(console_line(step_metrics(1, 99.0)).size(), length);
}

TEST(Console, PerplexityStaysShort) {
    EXPECT_EQ(perplexity_text(0), "1.00");
    EXPECT_EQ(perplexity_text(4.4071), "82.03");
    EXPECT_EQ(perplexity_text(11.5), "98715.77");
    EXPECT_EQ(perplexity_text(12.0), "1.63e+05");
    EXPECT_EQ(perplexity_text(187.3), "2.20e+81");
    EXPECT_EQ(perplexity_text(1e4), "inf");
    EXPECT_EQ(perplexity_text(std::numeric_limits<double>::quiet_NaN()), "?");
    EXPECT_EQ(quantity_text(std::exp(187.3)), "2.20e+81");
    EXPECT_EQ(console_line(EvalMetrics{.step = 3, .loss = 187.3, .tokens = 12, .seconds = 1}),
              "eval at step 3  loss 187.3000  ppl 2.20e+81  12 tokens  1s");
}

TEST(Console, ShowsTheScoresOfATask) {
    EXPECT_EQ(console_line(TaskMetrics{.step = 3,
                                       .task = "sums",
                                       .questions = 200,
                                       .acc = {0.5, 0.0354},
                                       .acc_norm = {0.25, 0.0307},
                                       .acc_bytes = {1.0, 0.0},
                                       .bits_per_byte = 1.25}),
              "task sums at step 3  acc 0.5000 +/- 0.0354  acc_norm 0.2500 +/- 0.0307  acc_bytes 1.0000 +/- 0.0000  "
              "bits/byte 1.2500  200 questions");
}

TEST(Console, ShowsNaNWithoutASign) {
    StepMetrics m = step_metrics(1, -std::numeric_limits<double>::quiet_NaN());
    m.gradient_norm = m.loss;
    EXPECT_EQ(console_line(m).find("-nan"), std::string::npos) << console_line(m);
}

TEST(Console, SaysNoTokensInsteadOfALoss) {
    StepMetrics m = step_metrics(5, 0.0);
    m.loss_tokens = 0;
    m.skipped = true;
    const std::string line = console_line(m);
    EXPECT_NE(line.find("no tokens"), std::string::npos) << line;
    for (const char* word : {"loss", "ppl", "grad", "SKIPPED"}) EXPECT_EQ(line.find(word), std::string::npos) << line;
    EXPECT_EQ(console_line(EvalMetrics{.step = 3, .seconds = 1}), "eval at step 3  no tokens  1s");
}

TEST(Console, LineNamesClippingSkippingAndLeavesOutWhatIsUnknown) {
    StepMetrics m = step_metrics(5, 3.0);
    m.clipped = m.gates_clipped = m.skipped = true;
    m.peak_flops = 0;
    m.seconds = {};
    const std::string line = console_line(m);
    EXPECT_TRUE(line.ends_with("eta      ?  clipped  gates clipped  SKIPPED")) << line;
    EXPECT_EQ(line.find("MFU"), std::string::npos);
}

TEST(Metrics, SpeedsLeaveEvaluationAndCheckpointsOut) {
    const StepMetrics m = step_metrics(1, 1.0);
    EXPECT_EQ(m.seconds.training(), 2.0);
    EXPECT_EQ(m.seconds.total(), 4.0);
    EXPECT_EQ(m.tokens_per_second(), 65536.0);
    EXPECT_EQ(m.mfu_megatron(), 65536.0 * 4e8 / 1e14);
    EXPECT_EQ(m.mfu_full(), 65536.0 * 5e8 / 1e14);
}

// Runs `work` with a bar over a file and a clock that the test moves; returns what was written.
struct BarRun {
    double now = 100;
    std::FILE* out = std::tmpfile();
    ProgressBar bar;
    explicit BarRun(bool terminal, std::int64_t total = 200)
        : bar("evaluating", total, "samples", out, terminal, [this] { return now; }) {}
    ~BarRun() { std::fclose(out); }
    std::string written() {
        std::string text(std::size_t(std::ftell(out)), '\0');
        std::rewind(out);
        EXPECT_EQ(std::fread(text.data(), 1, text.size(), out), text.size());
        return text;
    }
};

TEST(Progress, TextShowsShareCountAndTimeLeft) {
    EXPECT_EQ(progress_text("evaluating", 0, 200, "samples", 0),
              "evaluating  [....................]   0%  0/200 samples  eta ?");
    EXPECT_EQ(progress_text("evaluating", 50, 200, "samples", 20),
              "evaluating  [#####...............]  25%  50/200 samples  eta 1m00s");
    EXPECT_EQ(progress_text("evaluating", 200, 200, "samples", 80),
              "evaluating  [####################] 100%  200/200 samples  took 1m20s");
    EXPECT_EQ(progress_text("reading", 1500000, 0, "lines", 80), "reading  1.50M lines  1m20s");
}

TEST(Progress, OnATerminalRedrawsOneLineAndClearsIt) {
    BarRun run(true);
    for (int i = 1; i <= 100; ++i) {
        run.now += 0.0156250;
        run.bar.advance_to(i);
    }
    run.bar.finish();
    const std::string text = run.written();
    EXPECT_EQ(text.find('\n'), std::string::npos);
    EXPECT_TRUE(text.ends_with("\r\x1b[K"));
    EXPECT_EQ(std::count(text.begin(), text.end(), '\r'), 100 / 7 + 1);  // every seventh advance passes 0.1 s
}

TEST(Progress, ElsewhereWritesAnOccasionalLineAndTheLastOne) {
    BarRun run(false);
    for (int i = 1; i <= 200; ++i) {
        run.now += 0.5;
        run.bar.advance_to(i);
    }
    run.bar.finish();
    run.bar.finish();
    const std::string text = run.written();
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3 + 1);
    EXPECT_TRUE(text.ends_with("200/200 samples  took 1m40s\n")) << text;
}

TEST(Progress, OfShortWorkSaysNothing) {
    for (bool terminal : {false, true}) {
        BarRun run(terminal);
        run.now += 0.0625;
        run.bar.advance_to(200);
        run.bar.finish();
        EXPECT_EQ(run.written(), "");
    }
}

}  // namespace
}  // namespace gpas::metrics_tests
