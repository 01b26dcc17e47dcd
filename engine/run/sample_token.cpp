#include "engine/run/sample_token.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace gpas {
namespace {

using Ids = std::vector<std::int32_t>;

// The ids to sample from: in ascending order, or the most likely first if options choose by likelihood.
Ids candidates(std::span<const float> logits, const SamplingOptions& options) {
    Ids ids(logits.size());
    std::iota(ids.begin(), ids.end(), 0);
    const auto likelier = [&](std::int32_t a, std::int32_t b) {
        const float x = logits[std::size_t(a)], y = logits[std::size_t(b)];
        return x != y ? x > y : a < b;
    };
    if (options.top_k > 0 && options.top_k < std::int64_t(ids.size())) {
        const auto end = ids.begin() + std::ptrdiff_t(options.top_k);
        std::nth_element(ids.begin(), end, ids.end(), likelier);
        ids.erase(end, ids.end());
    }
    if (options.top_p < 1.0) std::sort(ids.begin(), ids.end(), likelier);
    return ids;
}

}  // namespace

std::int32_t sample_token(std::span<const float> logits, const SamplingOptions& options, double u) {
    const auto likeliest = std::max_element(logits.begin(), logits.end());
    if (options.temperature == 0.0) return std::int32_t(likeliest - logits.begin());
    const Ids ids = candidates(logits, options);
    std::vector<double> weights;
    for (const std::int32_t id : ids)
        weights.push_back(std::exp((double(logits[std::size_t(id)]) - double(*likeliest)) / options.temperature));
    double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    std::size_t count = ids.size();
    if (options.top_p < 1.0) {
        const double enough = options.top_p * sum;
        sum = 0.0;
        for (count = 0; count < ids.size() && (count == 0 || sum < enough); ++count) sum += weights[count];
    }
    double left = u * sum;
    for (std::size_t i = 0; i < count; ++i) {
        left -= weights[i];
        if (left < 0.0) return ids[i];
    }
    return ids[count - 1];
}

}  // namespace gpas
