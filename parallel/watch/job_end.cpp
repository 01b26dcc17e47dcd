#include "parallel/watch/job_end.hpp"

#include "base/direct_output.hpp"
#include "base/error.hpp"
#include "parallel/watch/detection.hpp"
#include "parallel/watch/stack_trace.hpp"

#include <fmt/format.h>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <thread>

namespace gpas {
namespace {

constexpr double stack_seconds = 0.3;      // wait for a rank's stack
constexpr double details_seconds = 1.0;    // wait for the stacks and calls of other nodes
constexpr double settle_seconds = 0.05;    // wait for further losses with the same cause
constexpr double hearsay_seconds = 0.4;    // wait for watchers on the lost rank's node, if only a connection was closed
constexpr double leader_seconds = 3.0;     // wait for rank 0 to end the job, before this rank does
constexpr double last_acts_seconds = 2.0;  // wait for the last acts: NCCL communicators to be aborted
constexpr int end_seconds = 10;            // longest time that the end of the job may take

void pause_for(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

// Ends the process after end_seconds in any case, because the file system of the report may hang, too.
void limit_time_of_end() {
    std::thread([] {
        std::this_thread::sleep_for(std::chrono::seconds(end_seconds));
        _exit(int(ExitCode::rank_lost));
    }).detach();
}

}  // namespace

Link* link_to_leader(WatchState& state) {
    return state.rank == 0 || state.findings.is_settled(0) ? nullptr : state.peers.link_to(0);
}

// If rank 0 is lost or cannot be reached, the lowest rank of each node ends its node's ranks.
bool JobEnd::is_up_to_this_rank() {
    if (state_.rank == 0 || state_.findings.seconds_since_first() > leader_seconds) return true;
    return link_to_leader(state_) == nullptr && state_.peers.is_lowest_here(state_.findings.settled());
}

void JobEnd::run(const std::function<void()>& receive) {
    limit_time_of_end();
    const auto gather = [&] {
        receive();
        detect_lost_ranks(state_);
        pause_for(0.01);
    };
    wait_for_cause(gather);
    state_.findings.put_causes_first();
    ReportFile report(state_.settings.directory, state_.launch.job_key, state_.started);
    report_findings(report);
    report_details(report, gather);
    if (state_.rank == 0) state_.peers.for_each_link([](int, Link& link) { link.send(Message::end); });
    state_.peers.for_each_neighbour([](int, RankBoard& board, const MappedBoard&) { board.ended = true; });
    pause_for(0.05);  // time for the kernel to send the frames
    end_process();
}

// Waits for further losses with the same cause, and for findings of watchers on the lost ranks' nodes.
void JobEnd::wait_for_cause(const std::function<void()>& gather) const {
    const std::vector<Finding>& findings = state_.findings.all();
    const bool on_this_node = std::any_of(findings.begin(), findings.end(), [&](const Finding& finding) {
        return state_.peers.is_neighbour(finding.last.rank);
    });
    if (state_.rank != 0 && !on_this_node) pause_for(0.5);
    const std::int64_t start = monotonic_nanoseconds();
    while (seconds_since(start) < (state_.findings.lacks_a_cause() ? hearsay_seconds : settle_seconds)) gather();
}

void JobEnd::report_findings(ReportFile& report) const {
    Failure failure{.findings = state_.findings.all(), .size = state_.size, .reporter = state_.rank, .job = job_name()};
    for (const auto& [rank, view] : state_.peers.views(*state_.board)) failure.ranks.push_back(view.status);
    for (RankStatus& rank : failure.ranks)
        for (const Finding& finding : failure.findings)
            if (finding.last.rank == rank.rank) rank = finding.last;
    report.append((report.is_first() ? "" : "\nAlso detected: ") + report_text(failure));
    const std::string where = report.path().empty() ? "" : fmt::format("; report: {}", report.path().string());
    if (report.is_first() || report.path().empty())
        write_stderr_now(fmt::format("gpas: error: {}{}\n", headline(failure), where));
}

// Appends stacks and last calls: of this node's ranks, and on rank 0 also of the other nodes' ranks.
void JobEnd::report_details(ReportFile& report, const std::function<void()>& gather) {
    std::int64_t asked = 0;
    nodes_answered_ = 0;
    if (state_.rank == 0)
        state_.peers.for_each_link([&](int rank, Link& link) {
            if (state_.findings.is_settled(rank)) return;
            link.send(Message::collect);
            ++asked;
        });
    for (const std::string& text : details_of_node()) report.append(text);
    const std::int64_t start = monotonic_nanoseconds();
    while (nodes_answered_ < asked && seconds_since(start) < details_seconds) gather();
    for (const std::string& text : details_) report.append(text);
}

void JobEnd::send_details(int to) {
    Link* link = state_.peers.link_to(to);
    if (link == nullptr) return;
    if (state_.peers.is_lowest_here(state_.findings.settled()))
        for (const std::string& text : details_of_node()) link->send(Message::details, text);
    link->send(Message::details);  // an empty text ends the details
}

void JobEnd::take_details(const std::string& payload) {
    if (payload.empty())
        ++nodes_answered_;
    else
        details_.push_back(payload);
}

std::vector<std::string> JobEnd::details_of_node() {
    std::map<int, RankBoard*> boards{{state_.rank, &*state_.board}};
    state_.peers.for_each_neighbour([&](int rank, RankBoard& board, const MappedBoard&) { boards[rank] = &board; });
    std::vector<std::string> details;
    for (auto& [rank, board] : boards) {
        const bool answered = ask_for_stack(*board, state_.findings.is_settled(rank), stack_seconds);
        details.push_back(rank_details(*board, answered));
        // A rank that reported itself (is_consequence) still works, and ends by itself when the job ends.
        if (state_.findings.must_be_killed(rank) && rank != state_.rank &&
            process_start_ticks(board->pid) == board->process_start)
            kill(board->pid, SIGKILL);  // a stopped or hanging process would outlive the job
    }
    return details;
}

std::string JobEnd::job_name() const {
    const Launch& launch = state_.launch;
    return launch.job_id.empty() ? launch.job_key : fmt::format("{} (start {})", launch.job_id, launch.attempt + 1);
}

void JobEnd::end_process() {
    last_acts_->run(last_acts_seconds);
    state_.board->state = RankState::failed;
    unlink(state_.board.file().c_str());
    state_.peers.for_each_neighbour([&](int rank, RankBoard&, const MappedBoard& board) {
        if (state_.findings.is_settled(rank)) unlink(board.file().c_str());
    });
    _exit(int(ExitCode::rank_lost));
}

}  // namespace gpas
