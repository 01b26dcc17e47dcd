// Which of several ways to do the same is the fastest, by times that are disturbed.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>

namespace gpas::cuda {

// The candidate, of [0, count), with the least median time; of equal ones the first. Nothing if none runs.
// time(i) runs candidate i once and returns its time in any unit, or nothing if it does not run. Each candidate runs
// once without being counted (the first run loads it). Then they take turns, forwards and backwards, so that a clock
// that falls, another process, or the heat that one candidate leaves to the next has no part in the choice. Those that
// are far behind leave early.
std::optional<std::size_t> fastest_candidate(std::size_t count,
                                             const std::function<std::optional<float>(std::size_t)>& time);

}  // namespace gpas::cuda
