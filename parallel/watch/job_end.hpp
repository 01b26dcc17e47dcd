// The end of a job of which ranks are lost: one watcher collects what the others know, writes the report, and ends all
// processes. Not thread-safe: the watcher guards it with the mutex of its WatchState.
#pragma once

#include "parallel/board/last_acts.hpp"
#include "parallel/watch/failure_report.hpp"
#include "parallel/watch/watch_state.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace gpas {

class JobEnd {
public:
    // state must outlive this object. last_acts are run before this process ends.
    JobEnd(WatchState& state, std::shared_ptr<LastActs> last_acts) : state_(state), last_acts_(std::move(last_acts)) {}

    // Whether this rank must call run(): it is rank 0, or it stands in for rank 0, which is lost or cannot be reached.
    bool is_up_to_this_rank();
    // Waits for further losses with the same cause, writes the report and ends the job. receive() reads the frames that
    // have arrived; it may add findings, and calls take_details() for details.
    [[noreturn]] void run(const std::function<void()>& receive);
    // Answers a request for details: sends stacks and last calls of this node's ranks to rank `to`, if this rank is the
    // lowest of its node that is not lost, and an empty frame at the end.
    void send_details(int to);
    void take_details(const std::string& payload);
    // Runs the last acts and ends this process with ExitCode::rank_lost.
    [[noreturn]] void end_process();

private:
    std::vector<std::string> details_of_node();
    void wait_for_cause(const std::function<void()>& gather) const;
    void report_findings(ReportFile& report) const;
    void report_details(ReportFile& report, const std::function<void()>& gather);
    std::string job_name() const;

    WatchState& state_;
    std::shared_ptr<LastActs> last_acts_;
    std::int64_t nodes_answered_ = 0;
    std::vector<std::string> details_;  // of other nodes
};

// Null if this is rank 0, or if rank 0 is lost or cannot be reached.
Link* link_to_leader(WatchState& state);

}  // namespace gpas
