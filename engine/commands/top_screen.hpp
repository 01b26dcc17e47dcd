// Formats the state of a run as the lines of the `gpas top` screen.
#pragma once

#include "io/metrics/run_view.hpp"

#include <string>
#include <vector>

namespace gpas {

struct ScreenOptions {
    std::size_t columns = 80;
    std::size_t rows = 24;
    bool color = false;            // styles as ANSI escapes
    double now = 0.0;              // seconds since 1970
    std::int64_t parameters = -1;  // of the model; -1: unknown
};

// At most options.rows lines of at most options.columns columns, without newlines. Pure.
std::vector<std::string> top_screen(const RunView& view, const ScreenOptions& options);

}  // namespace gpas
