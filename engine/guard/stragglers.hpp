// Ranks that hold the others up: whose own work takes much longer than that of ranks with the same work.
#pragma once

#include "parallel/watch/rank_board.hpp"

#include <array>
#include <map>
#include <string>
#include <vector>

namespace gpas {

struct Straggler {
    int rank = -1;
    std::string text;  // "rank 3 on n2: 0.812 s of own work a step, 1.62 x the median of its 4 …: data …"
};

class Stragglers {
public:
    // factor 0: none are looked for.
    Stragglers(double factor, std::int64_t every_steps) : factor_(factor), every_steps_(every_steps) {}

    bool is_due(std::int64_t step) const { return factor_ > 0.0 && step % every_steps_ == 0; }
    // Who was slow since the last call. A rank's own work is data, compute and optimizer, without its waits; it is held
    // against the median of its pipeline stage.
    std::vector<Straggler> find(const std::vector<RankStatus>& ranks);

private:
    struct Totals {
        std::int64_t steps = 0;
        std::array<double, 4> seconds = {};
    };
    double factor_;
    std::int64_t every_steps_;
    std::map<int, Totals> before_;
};

}  // namespace gpas
