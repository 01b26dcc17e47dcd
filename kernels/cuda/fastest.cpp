#include "kernels/cuda/fastest.hpp"

#include <algorithm>
#include <vector>

namespace gpas::cuda {
namespace {

constexpr std::size_t rounds = 8;
constexpr std::size_t rounds_before_leaving = 4;
constexpr float far_behind = 1.25F;  // a candidate is dropped if its median exceeds the least median by this factor

struct Candidate {
    std::size_t index;
    std::vector<float> times;

    float median() const {  // of an even number of times: the lower of the two in the middle
        std::vector<float> sorted = times;
        std::ranges::sort(sorted);
        return sorted[(sorted.size() - 1) / 2];
    }
};

const Candidate& least(const std::vector<Candidate>& candidates) {
    return *std::ranges::min_element(candidates, {}, &Candidate::median);
}

}  // namespace

std::optional<std::size_t> fastest_candidate(std::size_t count,
                                             const std::function<std::optional<float>(std::size_t)>& time) {
    std::vector<Candidate> candidates;
    for (std::size_t i = 0; i < count; ++i)
        if (time(i)) candidates.push_back({.index = i});
    if (candidates.empty()) return std::nullopt;
    for (std::size_t round = 0; round < rounds; ++round) {
        for (std::size_t turn = 0; turn < candidates.size(); ++turn) {
            const bool forwards = round % 2 == 0;
            Candidate& candidate = candidates[forwards ? turn : candidates.size() - 1 - turn];
            if (const std::optional<float> taken = time(candidate.index)) candidate.times.push_back(*taken);
        }
        std::erase_if(candidates, [](const Candidate& candidate) { return candidate.times.empty(); });
        if (candidates.empty()) return std::nullopt;
        if (round + 1 != rounds_before_leaving) continue;
        const float most = far_behind * least(candidates).median();
        std::erase_if(candidates, [&](const Candidate& candidate) { return candidate.median() > most; });
    }
    return least(candidates).index;
}

}  // namespace gpas::cuda
