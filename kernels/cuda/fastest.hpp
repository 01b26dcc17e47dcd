// Chooses the fastest of several implementations from noisy timings.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>

namespace gpas::cuda {

// Returns the candidate in [0, count) with the least median time, the lowest index if medians are equal, or nothing if
// no candidate runs.
// time(i) runs candidate i once and returns its time in any unit, or nothing if candidate i does not run.
// Each candidate first runs once without being timed (that run loads its code). Then all candidates run once per round,
// in alternating order (0, 1, …, then …, 1, 0), so that a falling clock, heat or another process affects all candidates
// alike. After half of the rounds, candidates that are much slower than the best are dropped.
std::optional<std::size_t> fastest_candidate(std::size_t count,
                                             const std::function<std::optional<float>(std::size_t)>& time);

}  // namespace gpas::cuda
