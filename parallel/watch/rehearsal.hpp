// A failure on request, so that a cluster's ways of dealing with them can be tried before they happen
// (docs/failures.md). GPAS_REHEARSE="kill rank=2 phase=forward step=3": an action, and where it takes place; what is
// not said may be anything.
#pragma once

#include "parallel/watch/launch.hpp"
#include "parallel/watch/rank_board.hpp"

#include <memory>
#include <string>

namespace gpas {

class Rehearsal {
public:
    enum class Action {
        kill,       // SIGKILL
        stop,       // SIGSTOP
        exit,       // exit(1)
        crash,      // SIGSEGV
        spin,       // never comes back
        slow,       // sleeps `seconds`, each time
        nan,        // the gradient of this rank becomes NaN
        spike,      // the loss and gradient of this rank are `factor` times what they are
        flip,       // a bit of a weight of this rank turns
        set,        // the first element of a weight of this rank becomes `factor`
        transient,  // as spike, but not when the step is computed again: what failing hardware does
    };

    // Error(usage) where the text cannot be understood.
    explicit Rehearsal(const std::string& text);
    // Of GPAS_REHEARSE; nothing where that is not set, or is meant for another start of the job (attempt=0 unless it
    // says so).
    static std::shared_ptr<Rehearsal> of_environment(const Launch& launch);

    // The rank has entered a phase, or begins to wait: does what kill, stop, exit, crash, spin and slow ask for, having
    // said so on stderr.
    void at(const RankBoard& board);
    // Whether this action is asked of this rank in this step; once, but for transient.
    bool wants(Action action, const RankBoard& board, std::int64_t step);
    Action action() const { return action_; }
    double factor() const { return factor_; }
    const std::string& tensor() const { return tensor_; }

private:
    bool is_here(const RankBoard& board) const;

    std::string text_;
    Action action_ = Action::kill;
    int rank_ = -1;           // -1: every rank
    std::string phase_;       // "collective": while it waits in a call; empty: any
    std::int64_t step_ = -1;  // -1: any
    std::int64_t attempt_ = 0;
    std::int64_t after_ = 0;  // so many times it passes
    double seconds_ = 0.1;
    double factor_ = 100.0;
    std::string tensor_;  // of set
    bool over_ = false;
};

}  // namespace gpas
