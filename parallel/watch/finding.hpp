// What is wrong with a rank, as those beside it see it.
#pragma once

#include "parallel/watch/rank_board.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gpas {

enum class Loss : std::int32_t {
    died,           // its process is gone
    exited,         // the same, by a call of exit()
    crashed,        // the same, by a signal of its own such as SIGSEGV
    silent,         // its process is there, its watcher does not run: stopped, or the node stands still
    unreachable,    // on another node, and not heard of any more
    disconnected,   // on another node, and its connection was closed: it died, or its node did
    superseded,     // another start of the run has taken its directory over
    orphaned,       // whoever launched it is gone, and would not end it
    out_of_memory,  // its process is gone, and the kernel has killed one for lack of memory
    missing,        // on this node, and has not shown a sign of life, while others wait for it in MPI_Init
    unmet,          // waits in MPI_Init for ranks of which this node knows nothing
    stalled,        // its watcher runs, its training thread neither moves nor waits, and others wait for too long
    gpu_failed,     // its GPU's calls were given up: NCCL reports an error, or nothing has ended for too long
    gpu_stalled,    // the same, but the thread that would give them up does not answer either
};

struct Finding {
    Loss how = Loss::died;
    RankStatus last;  // of the rank
    std::int32_t seen_by = -1;
    char detail[400] = "";  // more that is known, in words; empty: nothing
};
static_assert(std::is_trivially_copyable_v<Finding>);

// "rank 2 (pid 4711 on n2) was killed or died in step 12, micro-batch 1, forward"
std::string text_of(const Finding& finding);

// A rank as one watcher sees it.
struct WatchedRank {
    RankStatus status;   // silent_seconds: since it was last heard of, over the board or the network
    bool local = false;  // on this node: status is as of now
    bool gone = false;   // its process has ended (local), or its connection has (remote)
};
struct WatchLimits {
    double silent_seconds = 60.0;
    double stall_seconds = 600.0;  // 0: none
};
// Standing still is no fault where nobody waits: then there is no limit to it. Where somebody has waited for
// stall_seconds, half of that is too long.
WatchLimits limits_now(WatchLimits limits, const std::map<int, WatchedRank>& ranks);
// Told by a connection, not by somebody beside the rank.
inline bool is_hearsay(Loss how) { return how == Loss::unreachable || how == Loss::disconnected; }
// Told by a rank of itself, and more often what another rank's end has brought about than a cause.
inline bool is_consequence(Loss how) { return how == Loss::gpu_failed || how == Loss::gpu_stalled; }
// Nothing where the rank is fine, or has ended in a way that needs no report.
std::optional<Loss> judge(const WatchedRank& view, const WatchLimits& limits);

}  // namespace gpas
