// What a watcher knows: its own rank, its settings, the other ranks, and the losses found so far. Not thread-safe: the
// watcher guards it with a mutex. Only the fields of the boards may be accessed without the mutex.
#pragma once

#include "base/cgroup.hpp"
#include "base/wall_clock.hpp"
#include "parallel/watch/board_file.hpp"
#include "parallel/watch/findings.hpp"
#include "parallel/watch/launch.hpp"
#include "parallel/watch/peers.hpp"
#include "parallel/watch/watch_settings.hpp"

#include <string>

#include <sys/types.h>

namespace gpas {

struct WatchState {
    // Makes and opens the board of this rank, and removes boards that killed processes of other jobs have left.
    WatchState(const Launch& launch, const WatchSettings& settings);

    RankStatus status() const { return read_status(*board, monotonic_nanoseconds()); }
    // A finding about this rank, by this rank.
    Finding own_finding(Loss how) const { return {.how = how, .last = status(), .seen_by = rank}; }

    Launch launch;
    WatchSettings settings;
    bool settings_read = false;  // settings are complete
    bool joined = false;         // MPI_Init has returned; rank and size are those of MPI
    int rank;
    int size;
    std::string note;  // why other ranks cannot see this rank's board; empty if they can
    Peers peers;
    MappedBoard board;
    Findings findings;
    // As of the start of this process:
    pid_t parent;
    bool launched;   // has a launcher, which must exist as long as the ranks
    double started;  // seconds since 1970
    MemoryKills kills_before;
};

}  // namespace gpas
