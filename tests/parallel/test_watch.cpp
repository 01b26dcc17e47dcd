// The parts of the watchers that need no lost ranks; tests/program/failures.py loses them.
#include "base/error.hpp"
#include "parallel/board/call_log.hpp"
#include "parallel/board/last_acts.hpp"
#include "parallel/board/rank_shared.hpp"
#include "parallel/board/rehearsal.hpp"
#include "parallel/watch/board_file.hpp"
#include "parallel/watch/failure_report.hpp"
#include "parallel/watch/finding.hpp"
#include "parallel/watch/link.hpp"
#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <future>
#include <map>
#include <memory>

namespace gpas {
namespace {

using test_support::ScratchDirectory;

WatchedRank well() { return {.status = {.rank = 3, .pid = 9, .call = "all_reduce of loss"}, .local = true}; }
constexpr WatchLimits limits{.silent_seconds = 10.0, .stall_seconds = 100.0};

TEST(Judge, leaves_ranks_alone_that_are_well_or_have_ended_in_order) {
    EXPECT_EQ(judge(well(), limits), std::nullopt);
    WatchedRank view = well();
    view.status.still_seconds = 1e6;  // it waits for others: who they wait for is another question
    EXPECT_EQ(judge(view, limits), std::nullopt);
    view.gone = true;
    for (const RankState ended : {RankState::finished, RankState::failed}) {
        view.status.state = ended;
        EXPECT_EQ(judge(view, limits), std::nullopt);
    }
}

TEST(Judge, tells_how_a_process_went) {
    WatchedRank view = well();
    view.gone = true;
    EXPECT_EQ(judge(view, limits), Loss::died);
    view.status.state = RankState::exited;
    EXPECT_EQ(judge(view, limits), Loss::exited);
    view.status.state = RankState::crashed;
    EXPECT_EQ(judge(view, limits), Loss::crashed);
    view.status.state = RankState::running;
    view.local = false;
    EXPECT_EQ(judge(view, limits), Loss::disconnected);
}

TEST(Judge, gives_ranks_of_other_nodes_half_as_much_again_so_that_their_own_node_speaks_first) {
    WatchedRank view = well();
    view.status.silent_seconds = 12.0;
    EXPECT_EQ(judge(view, limits), Loss::silent);
    view.local = false;
    EXPECT_EQ(judge(view, limits), std::nullopt);
    view.status.silent_seconds = 15.1;
    EXPECT_EQ(judge(view, limits), Loss::unreachable);
    EXPECT_EQ(judge(view, {.silent_seconds = 0.0, .stall_seconds = 0.0}), std::nullopt);
}

TEST(Judge, finds_who_neither_moves_nor_waits) {
    WatchedRank view = well();
    view.status.call[0] = '\0';
    view.status.still_seconds = 101.0;
    EXPECT_EQ(judge(view, limits), Loss::stalled);
    EXPECT_EQ(judge(view, {.silent_seconds = 10.0, .stall_seconds = 0.0}), std::nullopt);
}

TEST(Judge, lets_ranks_stand_still_as_long_as_nobody_waits_for_them) {
    WatchedRank busy = well(), waiting = well();
    busy.status.call[0] = '\0';
    busy.status.still_seconds = 1e6;
    waiting.status.still_seconds = 99.0;
    EXPECT_EQ(limits_now(limits, {{0, busy}, {1, waiting}}).stall_seconds, 0.0);
    waiting.status.still_seconds = 101.0;
    EXPECT_EQ(limits_now(limits, {{0, busy}, {1, waiting}}).stall_seconds, 50.0);
    EXPECT_EQ(limits_now({.stall_seconds = 0.0}, {{1, waiting}}).stall_seconds, 0.0);
}

TEST(Board, shows_phase_place_and_the_call_that_is_waited_in) {
    RankBoard board;
    open_board(board, 2, 4);
    CallLog log(board);
    RankProgress progress(board);
    progress.enter(Phase::forward, 12, 1);
    const std::int64_t call = log.begin("data", "all_reduce", "gradients", "fp32[1024]");
    RankStatus status = read_status(board, monotonic_nanoseconds());
    EXPECT_EQ(text_of(status), "step 12, micro-batch 1, forward");
    progress.wait(call);
    status = read_status(board, monotonic_nanoseconds());
    EXPECT_STREQ(status.call, "all_reduce of gradients over data (fp32[1024], step 12, micro-batch 1)");
    progress.waited();
    log.end(call);
    EXPECT_EQ(read_status(board, monotonic_nanoseconds()).call[0], '\0');
    EXPECT_EQ(status.pid, getpid());
    EXPECT_EQ(status.calls, 1);
}

TEST(Board, shows_the_call_that_its_gpu_has_not_finished_unless_the_rank_waits_in_another) {
    RankShared rank;
    CallLog& log = rank.calls;
    const std::int64_t on_gpu = log.begin("data", "all_reduce", "gradients", "fp32[8]");
    const std::int64_t waited = log.begin("world", "barrier", "a checkpoint", "");
    const auto shown = [&] { return std::string(read_status(rank.board, monotonic_nanoseconds()).call); };
    EXPECT_EQ(shown(), "");
    rank.board.gpu_call = on_gpu;
    EXPECT_EQ(shown(), "all_reduce of gradients over data (fp32[8])");
    rank.progress.wait(waited);
    EXPECT_EQ(shown(), "barrier of a checkpoint over world");
    rank.progress.waited();
    rank.board.gpu_call = 0;
    EXPECT_EQ(shown(), "");
}

TEST(LastActs, are_done_once_and_may_take_no_longer_than_they_are_given) {
    const auto acts = std::make_shared<LastActs>();
    int done = 0;
    const int owner = 0, gone = 0;
    acts->add(&owner, [&] { ++done; });
    acts->add(&gone, [&] { done = 100; });
    acts->remove(&gone);
    acts->run(60.0);
    EXPECT_EQ(done, 1);
    const auto hang = std::make_shared<std::promise<void>>();
    const auto slow = std::make_shared<LastActs>();
    slow->add(&owner, [over = hang->get_future().share()] { over.wait(); });
    slow->run(0.01);
    hang->set_value();
}

TEST(BoardDirectory, shares_boards_and_removes_those_of_the_dead) {
    const ScratchDirectory scratch;
    const BoardDirectory job("job.1", scratch.get()), other("job.2", scratch.get());
    MappedBoard mine = job.make(0);
    open_board(*mine, 0, 2);
    std::map<int, MappedBoard> boards;
    job.find_others(0, boards);
    EXPECT_TRUE(boards.empty());

    const pid_t child = fork();
    if (child == 0) {
        MappedBoard theirs = job.make(1);
        open_board(*theirs, 1, 2);
        theirs->step = 77;
        _exit(0);  // as if killed: nobody removes the file
    }
    int status = 0;
    waitpid(child, &status, 0);
    job.find_others(0, boards);
    ASSERT_TRUE(boards.contains(1));
    EXPECT_EQ(boards.at(1)->step, 77);
    const std::filesystem::path file = boards.at(1).file();
    job.remove_leftovers();  // this job's dead are still to be seen
    EXPECT_TRUE(std::filesystem::exists(file));
    other.remove_leftovers();
    EXPECT_FALSE(std::filesystem::exists(file));
    EXPECT_TRUE(std::filesystem::exists(mine.file()));
}

TEST(Link, carries_whole_frames_and_drops_strangers) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    Link a(ends[0], 42), b(ends[1], 42);
    const RankStatus status{.rank = 5, .step = 8};
    a.send(Message::hello, status);
    a.send(Message::details, std::string(300000, 'x'));
    std::vector<Frame> frames;
    for (int i = 0; i < 1000 && frames.size() < 2; ++i) {
        for (Frame& frame : b.receive()) frames.push_back(std::move(frame));
        a.flush();
    }
    ASSERT_EQ(frames.size(), 2U);
    EXPECT_EQ(frames[0].as<RankStatus>()->step, 8);
    EXPECT_FALSE(frames[0].as<Finding>());
    EXPECT_EQ(frames[1].payload, std::string(300000, 'x'));
    EXPECT_FALSE(b.closed());

    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    Link stranger(ends[0], 41), c(ends[1], 42);
    stranger.send(Message::end);
    EXPECT_TRUE(c.receive().empty());
    EXPECT_TRUE(c.closed());
}

TEST(Link, is_made_over_tcp) {
    Listener listener(true);
    std::string why;
    auto there = connect_to(meeting_point_of(text_of(listener.point())), 2.0, &why);
    ASSERT_TRUE(there) << why;
    usleep(100000);  // the kernel has it by then: this side does not wait
    std::optional<Link> here = listener.accept();
    ASSERT_TRUE(here);
    there->send(Message::goodbye);
    std::vector<Frame> frames;
    for (int i = 0; i < 1000 && frames.empty(); ++i) {
        frames = here->receive();
        usleep(1000);
    }
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(frames[0].message, Message::goodbye);
    MeetingPoint nobody{.addresses = {"127.0.0.1"}, .port = 1, .secret = 1};
    EXPECT_FALSE(connect_to(nobody, 0.2, &why));
    EXPECT_NE(why.find("127.0.0.1 port 1"), std::string::npos) << why;
}

TEST(ReportFile, is_one_for_a_start_and_another_for_the_next) {
    const ScratchDirectory scratch;
    const auto now = [] {
        return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    };
    const double started = now();
    ReportFile first(scratch.get(), "slurm.pmix.7.0", started);
    first.append("one\n");
    ReportFile second(scratch.get(), "slurm.pmix.7.0", started);
    second.append("two\n");
    EXPECT_TRUE(first.is_first());
    EXPECT_FALSE(second.is_first());
    EXPECT_EQ(first.path(), second.path());
    std::ifstream file(first.path());
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "one\ntwo\n");
    ReportFile later(scratch.get(), "slurm.pmix.7.0", now() + 10.0);
    EXPECT_TRUE(later.is_first());
    EXPECT_NE(later.path(), first.path());
    EXPECT_TRUE(ReportFile("", "job", started).path().empty());
}

TEST(FailureReport, names_the_lost_and_groups_those_who_wait) {
    RankStatus a{.rank = 0, .pid = 1, .step = 3}, b{.rank = 1, .pid = 2, .step = 3}, c{.rank = 2, .pid = 3, .step = 3};
    c.phase = Phase::backward;
    std::strcpy(a.call, "all_reduce of loss");
    std::strcpy(b.call, "all_reduce of loss");
    std::strcpy(c.host, "n2");
    const Failure failure{.findings = {{.how = Loss::died, .last = c, .seen_by = 1}}, .ranks = {a, b, c}, .size = 4};
    EXPECT_EQ(headline(failure), "rank 2 (pid 3 on n2) was killed or died in step 3, backward");
    const std::string text = report_text(failure);
    for (const char* part :
         {"detected by rank 1", "all_reduce of loss: ranks 0-1", "1 of 4 ranks never sent a heartbeat"})
        EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(Rehearsal, takes_place_where_and_when_it_is_asked_for) {
    RankBoard board;
    board.rank = 2;
    Rehearsal flip("flip rank=2 step=5");
    EXPECT_FALSE(flip.wants(Rehearsal::Action::flip, board, 4));
    EXPECT_FALSE(flip.wants(Rehearsal::Action::nan, board, 5));
    EXPECT_TRUE(flip.wants(Rehearsal::Action::flip, board, 5));
    EXPECT_FALSE(flip.wants(Rehearsal::Action::flip, board, 5));  // once
    for (const char* bad : {"", "burn", "kill where=3", "kill rank", "kill rank=two"}) {
        try {
            Rehearsal rehearsal(bad);
            ADD_FAILURE() << bad;
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), ExitCode::usage);
        }
    }
}

}  // namespace
}  // namespace gpas
