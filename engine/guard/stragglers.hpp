// Finds stragglers: ranks whose own work takes much longer than the same work of other ranks.
#pragma once

#include "base/phase_seconds.hpp"
#include "parallel/board/rank_board.hpp"

#include <map>
#include <span>
#include <string>
#include <vector>

namespace gpas {

// The work of one rank: its pipeline stage (-1: unknown) and the seconds of its phases per step (NaN: unknown).
struct RankWork {
    std::int64_t stage = -1;
    PhaseSeconds per_step;
};

// Per rank: its own work (data + compute + optimizer seconds, without waiting) divided by the median over its pipeline
// stage if the quotient is larger than `factor`; otherwise 0. Ranks of one stage have the same work. The median of an
// even number of ranks is the lower of the two in the middle, so that a slow rank does not raise the median that it is
// compared with. A rank with unknown stage or seconds, and the only rank of a stage, get 0. factor <= 0: all get 0.
// Both the run (event "straggler") and `gpas top` use this function. Pure.
std::vector<double> slowness_of(std::span<const RankWork> ranks, double factor);

struct Straggler {
    int rank = -1;
    std::string text;  // "rank 3 on n2 takes 0.812 s of own work per step, 1.62 times the median of its stage: data …"
};

// Finds the stragglers of a run. Not thread-safe.
class Stragglers {
public:
    // factor: watch.straggler_factor. 0: off.
    Stragglers(double factor, std::int64_t every_steps) : factor_(factor), every_steps_(every_steps) {}

    bool is_due(std::int64_t step) const { return factor_ > 0.0 && step % every_steps_ == 0; }
    // The ranks that were slow in the steps since the last call. ranks: the current status of all ranks.
    std::vector<Straggler> find(const std::vector<RankStatus>& ranks);

private:
    struct Totals {
        std::int64_t steps = 0;
        PhaseSeconds seconds;
    };
    RankWork work_since_last_call(const RankStatus& rank);

    double factor_;
    std::int64_t every_steps_;
    std::map<int, Totals> before_;
};

}  // namespace gpas
