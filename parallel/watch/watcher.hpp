// The watcher: a thread of each rank that detects lost ranks, so that the other ranks do not hang. It writes its rank's
// heartbeat. It checks the other ranks of its node through their boards and processes, and ranks of other nodes through
// a TCP connection between every rank and rank 0. If a rank is lost (finding.hpp lists how), the watchers write one
// report for the job and end its processes with ExitCode::rank_lost, whatever the training threads are doing. The
// watcher also receives the signals that request a stop.
#pragma once

#include "parallel/board/last_acts.hpp"
#include "parallel/board/rank_board.hpp"
#include "parallel/communicator.hpp"
#include "parallel/watch/launch.hpp"
#include "parallel/watch/stop_signals.hpp"
#include "parallel/watch/watch_settings.hpp"

#include <memory>
#include <string>
#include <vector>

namespace gpas {

class Watcher {
public:
    // Must be made before MPI_Init and before any other thread, because later threads inherit its mask of blocked
    // signals. Opens the rank's board, in phase start_up.
    Watcher(const Launch& launch, const WatchSettings& settings);
    ~Watcher();  // marks the rank as finished, unless failed() was called, and joins the thread
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;

    const Launch& launch() const;
    RankBoard& board();
    std::shared_ptr<LastActs> last_acts() const;
    // Calls settings.read. A rank that has not finished this call GPAS_START_SECONDS (environment; default
    // limits.stall_seconds) after its start is lost. The same limit holds for MPI_Init.
    void read_settings();
    // Call immediately before MPI_Init: the rank is in MPI_Init until joined().
    void begin_mpi();
    // Call after MPI_Init, with this rank, the number of ranks, and the number of ranks on this node. Installs crash
    // handlers, which run before those that MPI has installed.
    void joined(int rank, int size, int ranks_here);
    // Connects all ranks to rank 0's watcher. nodes: the number of nodes of the job. Collective over world. Returns an
    // empty text, or a line for the log if some rank cannot be watched: it cannot connect to rank 0, or its board is
    // not in shared memory. The other ranks are still watched.
    std::string connect(Communicator& world, int nodes);
    // The strongest stop that signals have requested so far. Any thread.
    StopRequest stop_request() const;
    // The status of all ranks (on rank 0) or of this node's ranks (on the others), as of now. Any thread.
    std::vector<RankStatus> ranks() const;

    // Another start of the run has taken over its directory: ends this job, with a report. Any thread.
    void superseded();
    // true: stops heartbeat and checks, so that a benchmark can measure their cost. false: resumes them.
    void rest(bool resting);
    // The rank has finished its work and ends normally.
    void finished();
    // This rank has an error, prints it, and ends the job. others_may_be_lost: the error may be the consequence of a
    // lost rank. Then this call first gives the watcher up to 0.5 s to detect the lost rank. If the watcher detects
    // one, it writes the report and ends the process, so this call does not return.
    void failed(bool others_may_be_lost);

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace gpas
