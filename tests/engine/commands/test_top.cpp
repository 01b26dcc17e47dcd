// What `gpas top` shows of runs that are made up.
#include "engine/commands/top_chart.hpp"
#include "engine/commands/top_ranks.hpp"
#include "engine/commands/top_screen.hpp"
#include "engine/commands/top_text.hpp"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace gpas {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double now = 2e9;

RunView made_up_run(std::int64_t ranks) {
    RunView view;
    view.directory = "runs/made-up";
    view.name = "made-up";
    view.architecture = "pre_gpas";
    view.has_metrics = true;
    view.record_age = 1.0;
    view.news_age = 1.0;
    for (std::int64_t step = 1; step <= 120; ++step) view.losses.push_back({step, 4.0 + 6.0 / double(step)});
    for (std::int64_t step = 71; step <= 120; ++step)
        view.recent.push_back({.step = step,
                               .loss = 4.0,
                               .learning_rate = 6e-4,
                               .gradient_norm = 0.5,
                               .tokens_per_second = 4660.0,
                               .mfu = 0.54,
                               .seconds_data = 0.125,
                               .seconds_compute = 0.625,
                               .seconds_communication = 0.125,
                               .seconds_optimizer = 0.125,
                               .seconds_evaluation = 0.0,
                               .seconds_checkpoint = 0.0});
    view.evaluation = view.best_evaluation = EvalView{100, 4.5};
    for (std::int64_t layer = 0; layer < 6; ++layer) view.gates.push_back({layer, "layer", 0.05 * double(layer)});
    view.events.push_back({.step = 90, .time = now - 60, .event = "loss_spike", .action = "skip", .text = "loss 9.1"});
    view.checkpoint = CheckpointView{"step_00000100.h5", now - 80, 3, 3e8};
    view.live = LiveView{.time = now - 1,
                         .started = now - 240,
                         .state = "training",
                         .job = "4711",
                         .restart = 1,
                         .host = "n0",
                         .name = "made-up",
                         .step = 120,
                         .steps_total = 300,
                         .exit_code = -1,
                         .ranks = {}};
    for (std::int64_t rank = 0; rank < ranks; ++rank)
        view.live->ranks.push_back({.rank = rank,
                                    .stage = 0,
                                    .host = fmt::format("n{}.cluster", rank / 8),
                                    .phase = "forward",
                                    .step = 121,
                                    .micro_batch = 1,
                                    .seconds_in_phase = 0.2,
                                    .silent_seconds = 0.1,
                                    .seconds = {.compute = 0.5, .communication = 0.1}});
    return view;
}

std::string screen(const RunView& view, std::size_t columns = 80, std::size_t rows = 24, bool color = false) {
    const auto lines = top_screen(view, {.columns = columns, .rows = rows, .color = color, .now = now});
    EXPECT_LE(lines.size(), rows);
    std::string text;
    for (const std::string& line : lines) {
        if (!color) {
            EXPECT_LE(columns_of(line), columns) << line;
        }
        text += line + "\n";
    }
    return text;
}

bool shows(const std::string& text, const std::string& words) { return text.find(words) != std::string::npos; }

TEST(TopText, CountsColumnsNotBytes) {
    EXPECT_EQ(columns_of("abc"), 3u);
    EXPECT_EQ(columns_of("▁▂…é"), 4u);
    EXPECT_EQ(columns_of("漢字"), 4u);
    EXPECT_EQ(columns_of("e\u0301"), 1u);
    EXPECT_EQ(cut("abcdef", 4), "abc…");
    EXPECT_EQ(cut("abcd", 4), "abcd");
    EXPECT_EQ(cut("漢字漢字", 4), "漢…");
    EXPECT_EQ(cut("abc", 0), "");
    EXPECT_EQ(padded("é", 3), "é  ");
    EXPECT_EQ(right_aligned("12345", 3), "12…");
}

TEST(TopText, LetsNoFileSteerTheTerminal) {
    EXPECT_EQ(printable("a\x1b[2Jb\n\tc\x7f"), "a?[2Jb??c?");
    EXPECT_EQ(printable("\xc2\x9b"
                        "2J"),
              "?2J");                             // the one-character form of ESC [
    EXPECT_EQ(printable("\xff\xe2\x96"), "???");  // not UTF-8, cut off
    EXPECT_EQ(printable("é▁漢"), "é▁漢");
    EXPECT_EQ(printable("a\u202e"
                        "b"),
              "a?b");  // writes from right to left
    RunView view = made_up_run(2);
    view.live->name = view.live->state = view.live->job = view.live->ranks[1].phase = view.live->ranks[1].call =
        view.live->ranks[1].host = view.architecture = view.events[0].text = view.events[0].event = "\x1b[31m\a";
    view.failure = FailureView{"\x1b", now, "\x1b", 1};
    view.checkpoint->name = "\x1b";
    view.gates[0].site = "\x1b";
    EXPECT_FALSE(shows(screen(view, 200, 60), "\x1b"));
}

TEST(TopText, WritesEscapesOnlyWhenAsked) {
    EXPECT_EQ(rendered({{"a", Style::bad}, {" b"}}, 10, false), "a b");
    EXPECT_EQ(rendered({{"a", Style::bad}, {" b"}}, 10, true), "\x1b[1;31ma\x1b[0m b");
    EXPECT_EQ(rendered({{"abc", Style::bad}, {"def"}}, 4, false), "abc…");
    EXPECT_TRUE(shows(screen(made_up_run(2), 80, 24, true), "\x1b["));
}

TEST(TopText, SpreadsALine) {
    EXPECT_EQ(rendered(spread({{"left"}}, {{"right"}}, 12), 12, false), "left   right");
    EXPECT_EQ(rendered(spread({{"a long left"}}, {{"right"}}, 12), 12, false), "a lon… right");
    EXPECT_EQ(columns_of(spread({{"a"}}, {}, 5)), 5u);
}

TEST(TopChart, ResamplesByMedians) {
    const std::vector<double> spiky{1, 1, 900, 2, 2, nan, nan, nan, nan, 3, 4, 5};
    const std::vector<double> shown = resampled(spiky, 4);
    ASSERT_EQ(shown.size(), 4u);
    EXPECT_EQ(shown[0], 1);
    EXPECT_EQ(shown[1], 2);
    EXPECT_TRUE(std::isnan(shown[2]));
    EXPECT_EQ(shown[3], 4);
    EXPECT_EQ(resampled(std::vector<double>{1, 2}, 4), (std::vector<double>{1, 1, 2, 2}));
    EXPECT_TRUE(resampled({}, 4).empty());
}

TEST(TopChart, IsNotFlattenedByASpike) {
    std::vector<double> values(100, 0.0);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = double(i);
    values[50] = 1e30;
    const ChartRange range = chart_range(values);
    EXPECT_EQ(range.low, 0.0);
    EXPECT_LE(range.high, 99.0);
    EXPECT_EQ(sparkline(std::vector<double>{0, 1, 2, 3, 4, 5, 6, 7}, {0, 7}), "▁▂▃▄▅▆▇█");
    EXPECT_EQ(sparkline(std::vector<double>{-5, nan, 99}, {0, 7}), "▁ █");
    EXPECT_EQ(sparkline(std::vector<double>{3, 3}, chart_range(std::vector<double>{3, 3})), "▄▄");
    EXPECT_EQ(sparkline(std::vector<double>{nan}, chart_range(std::vector<double>{nan})), " ");
}

TEST(TopChart, StandsOnItsLowestRow) {
    const std::vector<std::string> rows = chart(std::vector<double>{0, 8, 15, nan}, {0, 15}, 2);
    EXPECT_EQ(rows, (std::vector<std::string>{" ▁█ ", "▁██ "}));
}

TEST(TopChart, FillsABarByEighths) {
    EXPECT_EQ(bar(0.5, 4).filled, "██");
    EXPECT_EQ(bar(0.5, 4).rest, "░░");
    EXPECT_EQ(bar(0.53125, 4).filled, "██▏");
    EXPECT_EQ(bar(0.53125, 4).rest, "░");
    EXPECT_EQ(bar(2.0, 4).filled, "████");
    EXPECT_EQ(bar(nan, 4).rest, "░░░░");
}

TEST(TopScreen, ShowsARun) {
    const std::string text = screen(made_up_run(2));
    for (const char* words : {"made-up",   "training",    "pre_gpas",          "job 4711, restarted 1 time",
                              "120/300",   "40.0%",       "ETA 3m00s",         "elapsed 4m00s",
                              "4.0000",    "4.5000",      "at step 100",       "4.66k tok/s",
                              "MFU 54.0%", "lr 6.00e-04", "gradient norm 0.5", "step_00000100.h5",
                              "1m20s ago", "6 layers",    "0.25 (layer 5)",    "loss_spike → skip",
                              "loss 9.1",  "forward"})
        EXPECT_TRUE(shows(text, words)) << words << "\n" << text;
}

TEST(TopScreen, FitsAnyWindow) {
    for (const std::int64_t ranks : {0, 1, 8, 1000})
        for (const std::size_t columns : {1, 10, 40, 80, 159, 160, 200, 400})
            for (const std::size_t rows : {1, 5, 10, 24, 40, 60, 200}) screen(made_up_run(ranks), columns, rows);
}

TEST(TopScreen, UsesTheRoomOfALargeWindow) {
    const std::string text = screen(made_up_run(1000), 200, 60);
    EXPECT_EQ(std::ranges::count(text, '\n'), 60);
    EXPECT_TRUE(shows(text, "compute 62.5%")) << text;
}

TEST(TopScreen, ShowsWhatIsMissingAsUnknown) {
    RunView view;
    view.directory = "runs/nothing";
    const std::string text = screen(view);
    for (const char* words : {"nothing", "state unknown", "?/?", "ETA ?", "no metrics.jsonl", "no evaluation yet",
                              "no checkpoint yet", "no gates recorded", "no live.json"})
        EXPECT_TRUE(shows(text, words)) << words << "\n" << text;
    EXPECT_FALSE(shows(text, "nan")) << text;
}

TEST(TopScreen, TellsStates) {
    const auto state = [](const char* name, double age, std::int64_t code) {
        RunView view = made_up_run(1);
        view.live->state = name;
        view.live->time = now - age;
        view.live->exit_code = code;
        view.news_age = age;
        return screen(view);
    };
    EXPECT_TRUE(shows(state("training", 720, -1), "no news for 12m00s · was training"));
    EXPECT_TRUE(shows(state("saving", 1, -1), "saving\n"));
    EXPECT_TRUE(shows(state("failed", 720, 6), "failed · exit code 6 · 12m00s ago"));
    EXPECT_TRUE(shows(state("ended", 3600, 0), "ended · 1h00m ago"));
    EXPECT_TRUE(shows(state("ended", 3600, 75), "can resume · exit code 75"));
    EXPECT_FALSE(shows(state("ended", 3600, 0), "ETA"));
    EXPECT_TRUE(shows(state("ended", 60, 0), "elapsed 3m00s"));  // until it ended
}

TEST(TopScreen, TakesTheTimeLeftFromTheRun) {
    RunView view = made_up_run(1);
    view.recent.back().seconds_left = 3601.0;  // with evaluations and saves; the record is a second old
    EXPECT_TRUE(shows(screen(view), "ETA 1h00m"));
    view.record_age = 7200.0;
    EXPECT_TRUE(shows(screen(view), "ETA 0s"));
}

TEST(TopScreen, SharesCountEachStepBetweenRecords) {
    RunView view = made_up_run(1);
    std::int64_t step = 0;
    for (StepView& record : view.recent) {
        record.step = step += 10;
        record.seconds_evaluation = 10.0;  // of all ten steps, which train for 10 s
    }
    view.recent.erase(view.recent.begin(), view.recent.end() - 1);
    view.recent.insert(view.recent.begin(), {.step = step - 10});
    EXPECT_TRUE(shows(screen(view, 200, 60), "eval 50.0%")) << screen(view, 200, 60);
}

TEST(TopScreen, SaysNoTokensWhereThereWasNothingToMeasure) {
    RunView view = made_up_run(1);
    view.recent.push_back({.step = 121, .loss_tokens = 0, .skipped = true});
    view.evaluation = EvalView{.step = 121, .tokens = 0};
    const std::string text = screen(view);
    EXPECT_TRUE(shows(text, "no tokens")) << text;
    EXPECT_FALSE(shows(text, "NaN")) << text;
    EXPECT_FALSE(shows(text, "nan")) << text;
    EXPECT_FALSE(shows(text, "skipped")) << text;
}

TEST(TopScreen, TellsBadNumbersAndFailures) {
    RunView view = made_up_run(1);
    view.losses.push_back({121, nan});
    view.recent.push_back({.step = 121, .skipped = true});
    view.failure = FailureView{"20260101T000000Z_job1.txt", now - 5, "rank 3 on n2 died", 1};
    const std::string text = screen(view);
    EXPECT_TRUE(shows(text, "NaN or Inf")) << text;
    EXPECT_TRUE(shows(text, "skipped")) << text;
    EXPECT_TRUE(shows(text, "rank 3 on n2 died")) << text;
}

TEST(TopRanks, NotesWhoIsSilentBehindOrSlow) {
    RunView view = made_up_run(8);
    std::vector<RankView>& ranks = view.live->ranks;
    ranks[1].silent_seconds = 75.0;
    ranks[2].step = 119;
    ranks[3].seconds.compute = 1.0;
    ranks[4].step = 120;                     // a pipeline's stages may be a step apart
    ranks[5].seconds.communication = 100.0;  // waits for others: not its own work
    ranks[6].silent_seconds = 20.0;
    const std::vector<RankNote> notes = rank_notes(view);
    EXPECT_EQ(notes[1].silent_seconds, 75.0);
    EXPECT_TRUE(notes[1].given_up);
    EXPECT_EQ(notes[2].behind, 2);
    EXPECT_EQ(notes[3].slowness, 2.0);
    EXPECT_EQ(notes[6].silent_seconds, 20.0);
    EXPECT_FALSE(notes[6].given_up);
    for (const std::size_t quiet : {0, 4, 5, 7}) EXPECT_FALSE(notes[quiet].any()) << quiet;
    view.silent_limit = 100.0;
    view.straggler_factor = 2.5;
    EXPECT_FALSE(rank_notes(view)[1].given_up);
    EXPECT_FALSE(rank_notes(view)[3].any());
    const std::string text = screen(view, 160, 60);
    EXPECT_TRUE(shows(text, "silent 75.0s")) << text;
    EXPECT_TRUE(shows(text, "2 steps behind")) << text;
}

// The judgement of the run's own events (Stragglers): the last stage of an uneven pipeline has more work, and is healthy.
TEST(TopRanks, ComparesARankWithItsOwnStage) {
    RunView view = made_up_run(8);
    std::vector<RankView>& ranks = view.live->ranks;
    for (std::size_t i = 4; i < 8; ++i) {
        ranks[i].stage = 1;
        ranks[i].seconds.compute = 0.9;
    }
    for (const RankNote& note : rank_notes(view)) EXPECT_EQ(note.slowness, 0.0);
    ranks[6].seconds.compute = 1.8;
    EXPECT_EQ(rank_notes(view)[6].slowness, 2.0);
    view.straggler_factor = 0.0;  // off
    EXPECT_EQ(rank_notes(view)[6].slowness, 0.0);
    view.straggler_factor = unknown_number;
    for (RankView& rank : ranks) rank.stage = -1;  // a file of an earlier version
    EXPECT_EQ(rank_notes(view)[6].slowness, 0.0);
}

TEST(TopRanks, ShowsThoseThatStandOutWhereNotAllFit) {
    RunView view = made_up_run(1000);
    view.live->ranks[777].silent_seconds = 70.0;
    view.live->ranks[555].seconds.compute = 5.0;
    view.live->ranks[999].call = "all_reduce";  // waiting is nothing special
    std::vector<std::string> text;
    for (const Line& line : rank_lines(view, 100, 7)) text.push_back(rendered(line, 100, false));
    ASSERT_EQ(text.size(), 7u);
    EXPECT_TRUE(shows(text[0], "1000 on 125 hosts · 1000 forward · 1 silent · 1 slow")) << text[0];
    EXPECT_TRUE(text[2].starts_with("   0 ")) << text[2];
    EXPECT_FALSE(shows(text[2], "n0.")) << text[2];
    EXPECT_TRUE(text[3].starts_with("   1 ")) << text[3];
    EXPECT_TRUE(text[4].starts_with(" 555 ")) << text[4];
    EXPECT_TRUE(text[5].starts_with(" 777 ")) << text[5];
    EXPECT_EQ(text[6], "996 more ranks");
    EXPECT_EQ(rank_lines(view, 100, 1002).size(), 1002u);  // all fit
}

}  // namespace
}  // namespace gpas
