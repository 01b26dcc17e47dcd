// What all groups of one rank share. All groups that were split off one world refer to the same object.
#pragma once

#include "parallel/board/call_log.hpp"
#include "parallel/board/last_acts.hpp"
#include "parallel/board/rank_board.hpp"
#include "parallel/board/rank_progress.hpp"
#include "parallel/board/wait_settings.hpp"

#include <memory>

namespace gpas {

class RankShared {
public:
    RankShared() : own_(make_board()), board(*own_) {}           // makes its own board, which no other process sees
    explicit RankShared(RankBoard& watched) : board(watched) {}  // the board must outlive this object
    RankShared(const RankShared&) = delete;
    RankShared& operator=(const RankShared&) = delete;

private:
    static std::unique_ptr<RankBoard> make_board() {
        auto board = std::make_unique<RankBoard>();
        board->made_nanoseconds = monotonic_nanoseconds();
        return board;
    }

    std::unique_ptr<RankBoard> own_;

public:
    RankBoard& board;
    CallLog calls{board};
    RankProgress progress{board};
    WaitSettings waits;
    std::shared_ptr<LastActs> last_acts;  // run before a watcher ends the process; null: the process has no watcher
};

}  // namespace gpas
