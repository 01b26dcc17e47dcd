// The events of a run that a report marks in its figures.
#pragma once

#include "engine/report/json_values.hpp"
#include "io/metrics/run_history.hpp"

#include <string>
#include <vector>

namespace gpas {

struct Mark {
    std::int64_t step = 0;
    double tokens = 0.0;
    // An event of docs/failures.md such as "loss_spike", or "skipped" (a step without an update), or "resumed" (the run
    // resumed from this step although later records existed).
    std::string kind;
    std::string action;
    std::int64_t rank = -1;  // -1: not a single rank
    std::string text;
};

// In the order of the steps. A skipped step that has an event of its own is not listed twice, and a roll-back is not
// listed as "resumed" as well. Pure.
std::vector<Mark> marks_of(const RunHistory& history);

// At most `most` marks: the first one of each of `most` equal parts if there are more.
ReportJson marks_json(const std::vector<Mark>& marks, std::size_t most);
ReportJson mark_counts_json(const std::vector<Mark>& marks);  // {kind: number of marks}

}  // namespace gpas
