// Fault injection, to test how a cluster's scripts, quotas and timeouts handle failures (docs/failures.md).
// GPAS_REHEARSE="kill rank=2 phase=forward step=3" names an action and the conditions under which it happens. A
// condition that is left out is always met.
#pragma once

#include "parallel/board/rank_board.hpp"

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
        spin,       // the training thread hangs indefinitely
        slow,       // sleeps `seconds`, each time the conditions are met
        nan,        // this rank's gradient becomes NaN
        spike,      // this rank's loss and gradient are multiplied by `factor`
        flip,       // flips one bit of one of this rank's weights
        set,        // the first element of weight `tensor` of this rank becomes `factor`
        transient,  // as spike, but not if the step is recomputed: an error as failing hardware makes it
    };

    // Error(usage) if the text cannot be parsed.
    explicit Rehearsal(const std::string& text);
    // Parses GPAS_REHEARSE. Null if it is not set, or if its attempt= (default 0) is not `attempt`, the number of
    // restarts of the job so far. Error(usage).
    static std::shared_ptr<Rehearsal> of_environment(std::int64_t attempt);

    // Called when the rank enters a phase or begins to wait. Performs kill, stop, exit, crash, spin or slow if the
    // conditions are met. Prints a line to stderr first, except for slow.
    void at(const RankBoard& board);
    // Whether the caller must perform this action (nan, spike, flip, set, transient) in this step. True at most once;
    // prints a line to stderr then.
    bool wants(Action action, const RankBoard& board, std::int64_t step);
    Action action() const { return action_; }
    double factor() const { return factor_; }
    const std::string& tensor() const { return tensor_; }

private:
    bool is_here(const RankBoard& board) const;

    std::string text_;
    Action action_ = Action::kill;
    int rank_ = -1;           // -1: every rank
    std::string phase_;       // name_of(Phase), or "collective": while the rank waits in a call; empty: any
    std::int64_t step_ = -1;  // -1: any
    std::int64_t attempt_ = 0;
    std::int64_t after_ = 0;  // the number of times that the conditions are met before the action happens
    double seconds_ = 0.1;
    double factor_ = 100.0;
    std::string tensor_;  // for Action::set
    bool over_ = false;
};

}  // namespace gpas
