// The part of the screen of `gpas top` that tells what each rank does.
#pragma once

#include "engine/commands/top_text.hpp"
#include "io/metrics/run_view.hpp"

namespace gpas {

// What stands out about a rank. At most one of these is shown, the first that holds.
struct RankNote {
    double silent_seconds = 0.0;  // no sign of life for that long; 0: not worth telling
    bool given_up = false;        // for longer than watch.silent_seconds
    std::int64_t behind = 0;      // steps behind the first rank, 0: at most one
    double slowness = 0.0;        // slowness_of() with watch.straggler_factor

    bool any() const { return silent_seconds > 0 || behind > 0 || slowness > 0; }
};

// In the order of live.ranks.
std::vector<RankNote> rank_notes(const RunView& view);

// A summary, a heading, and one line a rank, in at most `rows` lines; where they do not fit, those that stand out, then
// the first ones, and how many are left out.
std::vector<Line> rank_lines(const RunView& view, std::size_t columns, std::size_t rows);

}  // namespace gpas
