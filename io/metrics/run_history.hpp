// All records of a run, for programs that show its whole course, such as `gpas report`. run_view.hpp reads the present
// state of a run instead.
#pragma once

#include "io/metrics/run_view.hpp"

namespace gpas {

struct SiteColumn {
    std::int64_t layer = 0;
    std::string site;  // "attention", "mlp" or "layer", as in docs/metrics.md
    bool operator==(const SiteColumn&) const = default;
};

// One reading per site and record, such as the gates' values.
struct SiteTable {
    std::vector<SiteColumn> columns;        // in the order in which the records list them
    std::vector<std::int64_t> steps;        // of the records, increasing
    std::vector<std::vector<double>> rows;  // [record][column]; NaN: the record does not have this column

    void add(std::int64_t step, const std::vector<std::pair<SiteColumn, double>>& readings);
    void forget_from(std::int64_t step);  // removes the records of this step and of later steps
};

struct RunHistory {
    std::vector<StepView> steps;  // increasing steps
    std::vector<EvalView> evaluations;
    SiteTable gates;
    SiteTable variances;
    std::vector<EventView> events;
    // The steps from which a start of the run resumed although later records existed, because these steps were lost or
    // undone (metrics.abandoned.jsonl). A start that lost no step leaves no record.
    std::vector<std::int64_t> resumed_from;
};

// Reads metrics.jsonl and metrics.abandoned.jsonl of a run's directory. If a step occurs twice, the later record
// replaces the earlier one and all records after it. An incomplete last line is ignored, because the run may be writing
// it. Error(bad_file): no such directory, no metrics.jsonl, no step record, or an unreadable record (file:line).
RunHistory read_history(const std::filesystem::path& directory);

}  // namespace gpas
