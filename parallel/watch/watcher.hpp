// A thread of each rank that keeps ranks from waiting indefinitely. It shows that its rank lives, looks at the ranks
// beside it (their boards, their processes) and, over a connection of every rank to rank 0, at those of other nodes.
// Where one is lost it leaves one report and ends the job's processes with ExitCode::rank_lost, whatever the training
// threads are doing. It takes the signals that ask a run to stop.
#pragma once

#include "parallel/comm_log.hpp"
#include "parallel/communicator.hpp"
#include "parallel/watch/finding.hpp"
#include "parallel/watch/last_acts.hpp"
#include "parallel/watch/launch.hpp"
#include "parallel/watch/stop_signals.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace gpas {

struct WatchSettings {
    WatchLimits limits;
    std::filesystem::path directory;  // of the run, where failures/ is made; empty: reports go to stderr alone
    bool takes_signals = false;       // signals ask for an orderly stop (stop_signals.hpp); else they end the process
    // Fills in limits and directory, from the configuration. Called when the rank is watched already: a file system that
    // does not answer must not keep it from being found. Empty: there is nothing to read.
    std::function<void(WatchSettings&)> read = {};
};

class Watcher {
public:
    // Before MPI and before any other thread: signals are blocked for all that follow. The board shows start-up.
    Watcher(const Launch& launch, const WatchSettings& settings);
    ~Watcher();  // the rank has ended in order, or its error has been told
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;

    const Launch& launch() const;
    RankBoard& board();
    std::shared_ptr<LastActs> last_acts() const;
    // Calls settings.read. Until then a rank may take WatchLimits().stall_seconds, or GPAS_START_SECONDS of the
    // environment; then it is lost.
    void read_settings();
    // The rank waits in MPI_Init from now until joined().
    void begin_mpi();
    // MPI is up, and says who this rank is and how many are on its node. Crash handlers go before those that MPI has
    // installed.
    void joined(int rank, int size, int ranks_here);
    // Connects all ranks to rank 0's watcher. Collective over world. Returns a line for the log where some cannot be
    // seen from there; the others still are.
    std::string connect(Communicator& world, int nodes);
    StopRequest stop_request() const;
    // All ranks as they are now (rank 0), or those of this node. Any thread.
    std::vector<RankStatus> ranks() const;

    // Another start of the run owns its directory: this one ends, with a report. Any thread.
    void superseded();
    // Neither beats nor looks, so that a benchmark can tell what that costs.
    void rest(bool resting);
    // The rank has nothing to do any more but to end in order.
    void finished();
    // This rank has an error that it tells itself, and ends the job for; but where the error may come of a rank that is
    // lost, its watcher gets a moment to find that out, and this does not return then.
    void failed(bool others_may_be_lost);

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace gpas
