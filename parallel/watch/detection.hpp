// What a watcher checks again and again. Each function adds the losses that it detects to state.findings.
#pragma once

#include "parallel/watch/watch_state.hpp"

namespace gpas {

// Judges all known ranks by judge() (finding.hpp).
void detect_lost_ranks(WatchState& state);
// Before MPI_Init has returned: checks the time limit for reading the settings and for MPI_Init. The limit is
// GPAS_START_SECONDS (environment), or settings.limits.stall_seconds if that is not set. 0: no limit.
void detect_hanging_start(WatchState& state);
// Checks whether this rank's NCCL calls were aborted, or its GPU finishes no call.
void detect_lost_gpu(WatchState& state);
// Checks whether this rank's launcher still exists.
void detect_lost_launcher(WatchState& state);

}  // namespace gpas
