// How a rank can be lost, and the rules by which watchers decide it.
#pragma once

#include "parallel/board/rank_board.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gpas {

enum class Loss : std::int32_t {
    died,           // its process no longer exists: killed, or ended without exit()
    exited,         // its process called exit()
    crashed,        // its process ended by a crash signal such as SIGSEGV
    silent,         // its process exists, but its watcher sends no heartbeat: process stopped, or node frozen
    unreachable,    // on another node; no heartbeat arrives, the connection is still open
    disconnected,   // on another node; its connection was closed: the rank or its node died
    superseded,     // another start of the run has taken over the run's directory
    orphaned,       // its launcher is gone, and can no longer end the rank
    out_of_memory,  // its process no longer exists, and the kernel has killed a process for lack of memory
    missing,        // on this node; has not started, while others wait for it in MPI_Init
    unmet,          // waits in MPI_Init for ranks that are not on this node
    stalled,        // its watcher runs; its training thread makes no progress outside of calls, and others wait for it
    gpu_failed,     // its NCCL calls were aborted: NCCL reported an error, or the GPU finished no call for too long
    gpu_stalled,    // its GPU finishes no call, and the thread that would abort its calls is blocked as well
};

// One lost rank. Watchers send findings over TCP.
struct Finding {
    Loss how = Loss::died;
    RankStatus last;            // the last known status of the lost rank
    std::int32_t seen_by = -1;  // the rank whose watcher detected it
    char detail[400] = "";      // further information for the report; may be empty
};
static_assert(std::is_trivially_copyable_v<Finding>);

// "rank 2 (pid 4711 on n2) was killed or died in step 12, micro-batch 1, forward"
std::string text_of(const Finding& finding);

// What one watcher knows about a rank.
struct WatchedRank {
    RankStatus status;   // silent_seconds: since the last heartbeat, read from the board (local) or received (remote)
    bool local = false;  // on this node: status is as of now
    bool gone = false;   // its process has ended (local), or its connection was closed (remote)
};
struct WatchLimits {
    double silent_seconds = 60.0;  // longest time without a heartbeat; 0: no limit
    double stall_seconds = 600.0;  // longest wait for other ranks; 0: no limit
};
// The limits for judge(). A rank that makes no progress is stalled only if others wait for it. If no rank has waited
// for limits.stall_seconds, the result has no stall limit (0). If a rank has, the result's stall limit is half of that.
WatchLimits limits_now(WatchLimits limits, const std::map<int, WatchedRank>& ranks);
// Whether the finding comes from the connection to another node. Watchers on the rank's own node know the cause better.
inline bool is_hearsay(Loss how) { return how == Loss::unreachable || how == Loss::disconnected; }
// Whether the loss is more often the consequence of another rank's loss than a cause: a rank reports it about itself.
inline bool is_consequence(Loss how) { return how == Loss::gpu_failed || how == Loss::gpu_stalled; }
// Whether and how a rank is lost. Nothing if it runs, or if it has ended in a way that needs no report.
std::optional<Loss> judge(const WatchedRank& view, const WatchLimits& limits);

}  // namespace gpas
