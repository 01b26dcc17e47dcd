// The part of the screen of `gpas top` that shows the work of each rank.
#pragma once

#include "engine/commands/top_text.hpp"
#include "io/metrics/run_view.hpp"

namespace gpas {

// Problems of a rank. The screen shows the first one only: silent, then behind, then slow.
struct RankNote {
    double silent_seconds = 0.0;  // without a heartbeat for this long; 0: less than a quarter of watch.silent_seconds
    bool given_up = false;        // silent for at least watch.silent_seconds
    std::int64_t behind = 0;      // steps behind the first rank; 0: at most one step
    double slowness = 0.0;        // slowness_of() with watch.straggler_factor; 0: not slow

    bool any() const { return silent_seconds > 0 || behind > 0 || slowness > 0; }
};

// One note per rank, in the order of view.live->ranks.
std::vector<RankNote> rank_notes(const RunView& view);

// A summary, a heading, and one line per rank, in at most `rows` lines. If not all ranks fit: the ranks with problems,
// then the first ranks, and a last line with the number of ranks left out.
std::vector<Line> rank_lines(const RunView& view, std::size_t columns, std::size_t rows);

}  // namespace gpas
