#include "io/data/blend.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace gpas {
namespace {

constexpr std::int64_t longest_period = 65536;
constexpr std::size_t most_sources = 1024;

// p_d = period * weight_d / sum if all p_d are integers, up to the rounding errors of the weights; else empty.
std::vector<std::int64_t> exact_shares(const std::vector<double>& weights, double sum, std::int64_t period) {
    std::vector<std::int64_t> shares;
    for (const double weight : weights) {
        const double share = double(period) * (weight / sum);
        const double nearest = std::round(share);
        if (nearest < 1 || std::abs(share - nearest) > 1e-9) return {};
        shares.push_back(std::int64_t(nearest));
    }
    return std::accumulate(shares.begin(), shares.end(), std::int64_t(0)) == period ? shares
                                                                                    : std::vector<std::int64_t>{};
}

// One sample per source; the remaining samples of the period are distributed by the largest-remainder method.
std::vector<std::int64_t> nearest_shares(const std::vector<double>& weights, double sum) {
    const double rest = double(longest_period - std::int64_t(weights.size()));
    std::vector<std::int64_t> shares, order(weights.size());
    std::vector<double> remainder;
    for (const double weight : weights) {
        const double share = std::max(0.0, double(longest_period) * (weight / sum) - 1.0);
        shares.push_back(1 + std::int64_t(std::min(share, rest)));
        remainder.push_back(share - std::floor(share));
    }
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
        return remainder[std::size_t(a)] > remainder[std::size_t(b)];
    });
    std::int64_t missing = longest_period - std::accumulate(shares.begin(), shares.end(), std::int64_t(0));
    for (std::size_t i = 0; missing > 0; i = (i + 1) % order.size(), --missing) ++shares[std::size_t(order[i])];
    // Because tiny weights get one sample, the sum may exceed the period. The excess is taken from the largest shares.
    for (; missing < 0; ++missing) --*std::max_element(shares.begin(), shares.end());
    return shares;
}

}  // namespace

Blend::Blend(const std::vector<double>& weights) {
    if (weights.empty() || weights.size() > most_sources) {
        fail(ExitCode::usage, "data: found a blend of {} sources, expected 1 to {}", weights.size(), most_sources);
    }
    for (const double weight : weights) {
        if (!(weight > 0) || !std::isfinite(weight)) {
            fail(ExitCode::usage, "data: the weight {} of a source is not a positive number", weight);
        }
    }
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (std::int64_t period = std::int64_t(weights.size()); shares_.empty() && period <= longest_period; ++period) {
        shares_ = exact_shares(weights, sum, period);
    }
    if (shares_.empty()) shares_ = nearest_shares(weights, sum);
    lay_out();
}

// Tijdeman's rule. In step k (from 1), let sigma_d = k p_d - count_d P, which is P times the lag of source d among n
// sources. The sources with sigma_d >= P / (2n - 2) are eligible. The rule chooses the eligible source that would be
// the first to reach the upper bound P (1 - 1/(2n - 2)).
void Blend::lay_out() {
    const std::int64_t period = std::accumulate(shares_.begin(), shares_.end(), std::int64_t(0));
    const std::int64_t n = std::int64_t(shares_.size());
    const std::int64_t scale = std::max<std::int64_t>(1, 2 * n - 2);
    std::vector<std::int64_t> count(shares_.size(), 0);
    pattern_.reserve(std::size_t(period));
    for (std::int64_t k = 1; k <= period; ++k) {
        std::int64_t chosen = -1, chosen_room = 0;
        for (std::int64_t d = 0; d < n; ++d) {
            const std::int64_t share = shares_[std::size_t(d)];
            const std::int64_t lag = (k * share - count[std::size_t(d)] * period) * scale;
            if (lag < period && n > 1) continue;
            const std::int64_t room = period * (scale - 1) - lag;  // steps to the bound: room / share
            if (chosen < 0 || room * shares_[std::size_t(chosen)] < chosen_room * share) {
                chosen = d;
                chosen_room = room;
            }
        }
        require(chosen >= 0, "blend: no source is due at step {} of {}", k, period);
        pattern_.push_back({std::int32_t(chosen), std::int32_t(count[std::size_t(chosen)]++)});
    }
}

Blend::Place Blend::operator()(std::int64_t k) const {
    const Slot& slot = pattern_[std::size_t(k % period())];
    return {slot.source, (k / period()) * shares_[std::size_t(slot.source)] + slot.before};
}

}  // namespace gpas
