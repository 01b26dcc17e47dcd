// Shows on the rank's board what its training thread is doing, and injects a failure there if one is rehearsed.
#pragma once

#include "parallel/board/rank_board.hpp"
#include "parallel/board/rehearsal.hpp"

#include <cstdint>
#include <memory>
#include <utility>

namespace gpas {

// Not thread-safe: the training thread makes all calls.
class RankProgress {
public:
    explicit RankProgress(RankBoard& board) : board_(board) {}  // the board must outlive this object

    // The failure to inject when the rank enters a phase or begins to wait (GPAS_REHEARSE); null: no failure.
    void set_rehearsal(std::shared_ptr<Rehearsal> rehearsal) { rehearsal_ = std::move(rehearsal); }
    Rehearsal* rehearsal() const { return rehearsal_.get(); }

    // Sets the phase, step and micro-batch of the rank. Calls that begin later carry this step and micro-batch.
    void enter(Phase phase, std::int64_t step, std::int64_t micro_batch = -1);
    void enter(Phase phase);  // step unchanged, no micro-batch
    // Sets step and micro-batch only.
    void set_place(std::int64_t step, std::int64_t micro_batch);
    // wait(): the host is blocked until the call with this number (CallLog) ends. waited(): the host is no longer
    // blocked.
    void wait(std::int64_t call);
    void waited();

private:
    RankBoard& board_;
    std::shared_ptr<Rehearsal> rehearsal_;
};

}  // namespace gpas
