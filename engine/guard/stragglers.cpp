#include "engine/guard/stragglers.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gpas {
namespace {

using Seconds = std::array<double, 4>;  // data, compute, communication, optimizer

double own_work(const Seconds& seconds) { return seconds[0] + seconds[1] + seconds[3]; }

// The lower one of two: a slow rank must not raise what it is held against.
double lower_median(std::vector<double> values) {
    const std::size_t middle = (values.size() - 1) / 2;
    std::nth_element(values.begin(), values.begin() + std::ptrdiff_t(middle), values.end());
    return values[middle];
}

}  // namespace

std::vector<Straggler> Stragglers::find(const std::vector<RankStatus>& ranks) {
    std::map<int, Seconds> a_step;  // of each rank
    std::map<int, std::vector<double>> work_of_stage;
    for (const RankStatus& rank : ranks) {
        Totals& before = before_[rank.rank];
        const std::int64_t steps = rank.steps - before.steps;
        if (steps > 0) {
            Seconds& seconds = a_step[rank.rank];
            for (std::size_t i = 0; i < seconds.size(); ++i)
                seconds[i] = (rank.seconds[i] - before.seconds[i]) / double(steps);
            work_of_stage[rank.stage].push_back(own_work(seconds));
        }
        before = {rank.steps, rank.seconds};
    }
    std::vector<Straggler> slow;
    for (const RankStatus& rank : ranks) {
        if (!a_step.contains(rank.rank) || work_of_stage[rank.stage].size() < 2) continue;
        const Seconds& seconds = a_step[rank.rank];
        const double usual = lower_median(work_of_stage[rank.stage]);
        if (own_work(seconds) <= factor_ * usual) continue;
        slow.push_back({.rank = rank.rank,
                        .text = fmt::format("rank {} on {} takes {:.3g} s of own work a step, {:.2f} times the median "
                                            "of its stage: data {:.3g}, compute {:.3g}, optimizer {:.3g} s, and waits "
                                            "{:.3g} s for others",
                                            rank.rank, rank.host, own_work(seconds), own_work(seconds) / usual,
                                            seconds[0], seconds[1], seconds[3], seconds[2])});
    }
    return slow;
}

}  // namespace gpas
