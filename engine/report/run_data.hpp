// The figures' data of one run as JSON.
#pragma once

#include "engine/report/json_values.hpp"
#include "io/metrics/run_history.hpp"

namespace gpas {

// How much of a run's records a report keeps.
struct ReportSize {
    std::size_t loss_points = 4000;  // of the training loss, at most; see thinned()
    std::size_t points = 2000;       // of every other quantity by step, at most
    std::size_t means = 300;         // ranges over which the training loss and paired differences are averaged
    std::size_t readings = 300000;   // gates and variances together, at most, but at least 8 records of each
    std::size_t marks = 300;         // events that a figure marks
};

// The sizes for a report of `runs` runs: 12 runs of 100 000 steps stay under 5 MB.
ReportSize report_size(std::size_t runs);

// Members: records (number of step records), thinned (whether `series` has fewer points than records), and
//   series: {name: {x, y}} by consumed tokens; y in the units of docs/metrics.md. loss_mean has means of the training
//     loss over equal parts, each at the tokens of the part's middle. A quantity that is unknown or 0 in every record is left out, except the training phases.
//   validation: {x, step, y}; y: validation loss
//   gates, variances: {x, sites: [{layer, site, y}]}
//   marks: [{x, step, kind, action, rank, text}] in the order of the steps; mark_counts: {kind: number}, of all events
// Pure.
ReportJson run_json(const RunHistory& history, const ReportSize& size);

}  // namespace gpas
