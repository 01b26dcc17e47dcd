#include "engine/guard/stragglers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace gpas {
namespace {

double lower_median(std::vector<double> values) {
    const std::size_t middle = (values.size() - 1) / 2;
    std::nth_element(values.begin(), values.begin() + std::ptrdiff_t(middle), values.end());
    return values[middle];
}

std::string text_of(const RankStatus& rank, const PhaseSeconds& per_step, double slowness) {
    return fmt::format(
        "rank {} on {} takes {:.3g} s of own work per step, {:.2f} times the median of its stage: data "
        "{:.3g}, compute {:.3g}, optimizer {:.3g} s; it waits {:.3g} s for other ranks",
        rank.rank, rank.host, per_step.own_work(), slowness, per_step.data, per_step.compute, per_step.optimizer,
        per_step.communication);
}

}  // namespace

std::vector<double> slowness_of(std::span<const RankWork> ranks, double factor) {
    std::vector<double> slowness(ranks.size(), 0.0);
    if (!(factor > 0.0)) return slowness;
    std::map<std::int64_t, std::vector<double>> work_of_stage;
    for (const RankWork& rank : ranks)
        if (rank.stage >= 0 && std::isfinite(rank.per_step.own_work()))
            work_of_stage[rank.stage].push_back(rank.per_step.own_work());
    for (std::size_t i = 0; i < ranks.size(); ++i) {
        const auto stage = work_of_stage.find(ranks[i].stage);
        if (stage == work_of_stage.end() || stage->second.size() < 2) continue;
        const double own = ranks[i].per_step.own_work(), usual = lower_median(stage->second);
        if (usual > 0.0 && own > factor * usual) slowness[i] = own / usual;
    }
    return slowness;
}

// Seconds are NaN (unknown) if the rank has completed no step since.
RankWork Stragglers::work_since_last_call(const RankStatus& rank) {
    const Totals before = std::exchange(before_[rank.rank], {rank.steps, rank.seconds});
    const double steps = double(rank.steps - before.steps);
    constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
    return {rank.stage, steps > 0 ? rank.seconds.since(before.seconds, steps) : PhaseSeconds{.compute = unknown}};
}

std::vector<Straggler> Stragglers::find(const std::vector<RankStatus>& ranks) {
    std::vector<RankWork> work;
    for (const RankStatus& rank : ranks) work.push_back(work_since_last_call(rank));
    const std::vector<double> slowness = slowness_of(work, factor_);
    std::vector<Straggler> slow;
    for (std::size_t i = 0; i < ranks.size(); ++i)
        if (slowness[i] > 0.0) slow.push_back({ranks[i].rank, text_of(ranks[i], work[i].per_step, slowness[i])});
    return slow;
}

}  // namespace gpas
