// What a run's files say, as written by the sinks of a run and by hand: whole, missing, damaged, changing.
#include "io/metrics/run_view.hpp"

#include "base/error.hpp"
#include "io/metrics/jsonl.hpp"
#include "io/metrics/run_records.hpp"
#include "tests/io/metrics/metrics_support.hpp"

#include <cstdlib>

namespace gpas::metrics_tests {
namespace {

constexpr double now = 2e9;

struct RunFiles : testing::Test {
    ScratchDirectory scratch;
    path directory = scratch.get();

    void write(const std::string& name, const std::string& text) {
        std::filesystem::create_directories((directory / name).parent_path());
        std::ofstream(directory / name) << text;
    }
    void append_metrics(const std::string& text) { std::ofstream(directory / "metrics.jsonl", std::ios::app) << text; }
    std::string live(double time, const std::string& state = "training") {
        return fmt::format(
            R"({{"time":{},"started":1999999000.0,"state":"{}","job":"4711","restart":2,"host":"n1","name":"quickstart",
"step":120,"steps_total":300,"exit_code":null,"ranks":[
{{"rank":0,"host":"n1","pid":1234,"phase":"forward","step":121,"micro_batch":1,"call":"all_reduce of gradients",
"seconds_in_phase":0.2,"silent_seconds":0.1,"seconds":{{"data":0.001,"compute":0.4,"communication":0.05,"optimizer":0.02}}}},
{{"rank":1,"host":"n2","phase":null}}]}})",
            time, state);
    }
};

TEST_F(RunFiles, AreReadAsTheRunWroteThem) {
    write("config.yaml",
          "name: small\nmodel:\n  architecture: pre_gpas\ntraining: {steps: 300}\n"
          "watch: {silent_seconds: 30, straggler_factor: 1.25}\nnew_section: {new_key: 1}\n");
    {
        JsonlSink sink(directory / "metrics.jsonl", 0);
        for (std::int64_t step = 1; step <= 120; ++step) sink.write(step_metrics(step, 10.0 / double(step)));
        sink.write(EvalMetrics{100, 2.5, 100, 1.0});
        sink.write(EvalMetrics{120, 2.75, 100, 1.0});
        sink.write(gpas_metrics(120));
    }
    for (const char* step : {"010", "020", "100", "030", "040", "050"})
        write(fmt::format("checkpoints/step_00000{}.h5", step), "12");
    write("checkpoints/step_00000120.h5.tmp", "");
    write("failures/20260101T000000Z_job1.txt", "older\n");
    write("failures/20260102T000000Z_job2.txt", "\nrank 3 on n2 died\nmore\n");
    RunReader reader(directory);
    const RunView& view = reader.read(now);
    EXPECT_EQ(view.name, "small");
    EXPECT_EQ(view.architecture, "pre_gpas");
    EXPECT_EQ(view.silent_limit, 30.0);
    EXPECT_EQ(view.straggler_factor, 1.25);
    EXPECT_EQ(view.total(), 300);
    EXPECT_EQ(view.step(), 120);
    ASSERT_EQ(view.losses.size(), 120u);
    EXPECT_EQ(view.losses[3].step, 4);
    EXPECT_EQ(view.losses[3].loss, 2.5);
    ASSERT_EQ(view.recent.size(), 50u);
    EXPECT_EQ(view.recent[0].step, 71);
    const StepView& last = view.recent.back();
    EXPECT_EQ(last.step, 120);
    EXPECT_EQ(last.learning_rate, 6e-4);
    EXPECT_EQ(last.gradient_norm, 0.8125);
    EXPECT_EQ(last.tokens_per_second, 512 * 256 / 2.0);
    EXPECT_EQ(last.resident_bytes, double(std::int64_t(3) << 30));
    EXPECT_EQ(view.seconds_per_step(), 4.0);  // two of training, two of evaluation
    EXPECT_EQ(view.evaluation->step, 120);
    EXPECT_EQ(view.best_evaluation->step, 100);
    ASSERT_EQ(view.gates.size(), 2u);
    EXPECT_EQ(view.gates[1].layer, 11);
    EXPECT_EQ(view.gates[1].site, "mlp");
    EXPECT_EQ(view.gates[1].value, -0.125);
    EXPECT_EQ(view.checkpoint->name, "step_00000100.h5");
    EXPECT_EQ(view.checkpoint->count, 6);
    EXPECT_EQ(view.checkpoint->bytes, 12.0);
    EXPECT_EQ(view.failure->first_line, "rank 3 on n2 died");
    EXPECT_EQ(view.failure->count, 2);
    EXPECT_FALSE(view.live);
}

TEST_F(RunFiles, MayBeMissingOrDamaged) {
    write("config.yaml", "name: [");
    RunReader reader(directory);
    const RunView& view = reader.read(now);
    EXPECT_EQ(view.step(), -1);
    EXPECT_EQ(view.total(), -1);
    EXPECT_FALSE(view.has_metrics);
    EXPECT_TRUE(std::isnan(view.seconds_per_step()));
    EXPECT_FALSE(view.checkpoint);
    EXPECT_FALSE(view.failure);
    write("live.json", "{\"time\":");
    append_metrics(
        "[1, 2]\nno json\n{\"kind\":\"step\"}\n{\"kind\":5,\"step\":{}}\n{\"kind\":\"gpas\",\"gates\":7}\n\n");
    reader.read(now);
    EXPECT_FALSE(view.live);
    EXPECT_TRUE(view.has_metrics);
    EXPECT_EQ(view.losses.size(), 1u);  // a step record without numbers
    EXPECT_TRUE(std::isnan(view.losses[0].loss));
}

TEST_F(RunFiles, OfNoRunAreRefused) {
    const auto code = [&](const path& where) {
        try {
            const RunReader reader(where);
        } catch (const Error& error) {
            return int(error.code());
        }
        return 0;
    };
    EXPECT_EQ(code(directory), 3);
    EXPECT_EQ(code(directory / "absent"), 3);
    std::filesystem::create_directories(directory / "config.yaml");  // a directory of that name
    EXPECT_EQ(code(directory), 3);
    write("metrics.jsonl", "");
    EXPECT_EQ(code(directory), 0);
}

TEST_F(RunFiles, TellWhatEachRankDoes) {
    write("live.json", live(now));
    RunReader reader(directory);
    const LiveView& view = *reader.read(now).live;
    EXPECT_EQ(view.state, "training");
    EXPECT_EQ(view.job, "4711");
    EXPECT_EQ(view.restart, 2);
    EXPECT_EQ(view.exit_code, -1);
    ASSERT_EQ(view.ranks.size(), 2u);
    EXPECT_EQ(view.ranks[0].host, "n1");
    EXPECT_EQ(view.ranks[0].step, 121);
    EXPECT_EQ(view.ranks[0].micro_batch, 1);
    EXPECT_EQ(view.ranks[0].call, "all_reduce of gradients");
    EXPECT_EQ(view.ranks[0].seconds.communication, 0.05);
    EXPECT_EQ(view.ranks[1].rank, 1);
    EXPECT_EQ(view.ranks[1].phase, "");
    EXPECT_EQ(view.ranks[1].step, -1);
    EXPECT_TRUE(std::isnan(view.ranks[1].seconds.compute));
}

// In whatever order the file system lists them.
TEST_F(RunFiles, OfTheLastStepAreTheNewestCheckpoint) {
    write("metrics.jsonl", "");
    RunReader reader(directory);
    for (const int step : {7, 90, 100, 400, 2000, 30000, 500000}) {
        const std::string name = fmt::format("step_{:08}.h5", step);
        write("checkpoints/" + name, "");
        EXPECT_EQ(reader.read(now).checkpoint->name, name);
    }
}

TEST_F(RunFiles, AreAsOldAsTheirLastChange) {
    write("live.json", live(now - 720));
    RunReader reader(directory);
    const RunView& view = reader.read(now);
    EXPECT_EQ(view.news_age, 720.0);
    write("live.json", live(now - 500));  // a clock that is behind ours: but we have seen it change
    reader.read(now + 2);
    EXPECT_EQ(view.news_age, 0.0);
    reader.read(now + 42);
    EXPECT_EQ(view.news_age, 40.0);
    write("live.json", "{\"tim");  // caught in between: the one before stays
    reader.read(now + 44);
    EXPECT_EQ(view.live->time, now - 500);
    write("live.json", live(now + 900));  // a clock that is ahead
    EXPECT_EQ(RunReader(directory).read(now).news_age, 0.0);
}

TEST_F(RunFiles, AreReadOnFromWhereTheyWereRead) {
    append_metrics(R"({"kind":"step","step":1,"loss":2.0})"
                   "\n"
                   R"({"kind":"step","step":2,"lo)");
    RunReader reader(directory);
    const RunView& view = reader.read(now);
    EXPECT_EQ(view.step(), 1);
    append_metrics(
        R"(ss":null})"
        "\n"
        R"({"kind":"event","step":2,"time":5.5,"event":"loss_spike","action":"skip","rank":-1,"text":"loss 9"})"
        "\n");
    reader.read(now);
    ASSERT_EQ(view.losses.size(), 2u);
    EXPECT_TRUE(std::isnan(view.losses[1].loss));
    ASSERT_EQ(view.events.size(), 1u);
    EXPECT_EQ(view.events[0].event, "loss_spike");
    EXPECT_EQ(view.events[0].action, "skip");
    EXPECT_EQ(view.events[0].text, "loss 9");
    prepare_jsonl(directory / "metrics.jsonl", 1);  // the run resumes after step 1
    reader.read(now);
    EXPECT_EQ(view.step(), 1);
    EXPECT_EQ(view.losses.size(), 1u);
    EXPECT_EQ(view.recent.size(), 1u);
    EXPECT_TRUE(view.events.empty());
}

// Where steps are not all recorded, evaluation and saving belong to all steps since the record before.
TEST_F(RunFiles, GiveTheTimeOfAStepWithGaps) {
    for (const int step : {10, 20})
        append_metrics(
            fmt::format(R"({{"kind":"step","step":{},"loss":2.0,"seconds_data":0.25,"seconds_compute":0.5,)"
                        R"("seconds_communication":0.125,"seconds_optimizer":0.125,"seconds_evaluation":10.0,)"
                        R"("seconds_checkpoint":0.0}})"
                        "\n",
                        step));
    RunReader reader(directory);
    EXPECT_EQ(reader.read(now).seconds_per_step(), 2.0);
}

TEST(ScanStep, AgreesWithTheParser) {
    ScratchDirectory scratch;
    const path file = scratch.get() / "metrics.jsonl";
    {
        JsonlSink sink(file, 0);
        for (const double loss : {1.0, 0.1, 1e-300, std::nan(""), 12345.678}) sink.write(step_metrics(7, loss));
    }
    std::ifstream in(file);
    int lines = 0;
    for (std::string line; std::getline(in, line); ++lines) {
        const auto scanned = scan_step(line);
        ASSERT_TRUE(scanned);
        const StepView parsed = parse_step(line);
        EXPECT_EQ(scanned->step, parsed.step);
        EXPECT_TRUE(scanned->loss == parsed.loss || (std::isnan(scanned->loss) && std::isnan(parsed.loss)));
        EXPECT_FALSE(scan_step(line.substr(0, line.size() - 1)));  // torn
        EXPECT_FALSE(scan_step(line.substr(1)));
    }
    EXPECT_EQ(lines, 5);
}

}  // namespace
}  // namespace gpas::metrics_tests
