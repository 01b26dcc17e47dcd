// The labelled fields of the `gpas top` screen: evaluation, speed, update, time, checkpoints, memory, gates.
#pragma once

#include "engine/commands/top_screen.hpp"
#include "engine/commands/top_text.hpp"

#include <vector>

namespace gpas {

// One line per field, or one line per two fields on a wide screen. Pure.
std::vector<Line> field_lines(const RunView& view, const ScreenOptions& options);
// Mean over the recent records; without records the mean that live.json has for rank 0. NaN: unknown. Pure.
double recent_seconds_per_step(const RunView& view);

}  // namespace gpas
