#include "parallel/watch/watch_state.hpp"

#include <unistd.h>

namespace gpas {

WatchState::WatchState(const Launch& launch_, const WatchSettings& settings_)
    : launch(launch_),
      settings(settings_),
      rank(launch.rank),
      size(launch.size),
      peers(launch.job_key, rank, size),
      parent(getppid()),
      launched(size > 1),
      started(seconds_since_1970()) {
    peers.directory().remove_leftovers();
    board = peers.directory().make(rank, &note);
    open_board(*board, rank, size);
    kills_before = memory_kills();
}

}  // namespace gpas
