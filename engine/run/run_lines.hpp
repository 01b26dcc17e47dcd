// What a run says of itself: its shape, for the log, and its gates and stream, for the metrics.
#pragma once

#include "engine/step/replica.hpp"
#include "engine/step/step.hpp"
#include "io/data/batch.hpp"
#include "io/metrics/metrics.hpp"
#include "parallel/mesh.hpp"

#include <string>
#include <vector>

namespace gpas {

// Model, layout, batch and memory (of this rank), a line each.
std::vector<std::string> run_lines(const RunConfig& config, const Mesh& mesh, const Replica& replica,
                                   std::int64_t micro_batches);
// What to do about a step that ends the run, after EventMetrics::event.
std::string advice_on(const std::string& event);

// What data.truncated_end: auto came to, a line per training source whose documents are truncated.
std::vector<std::string> truncation_lines(const RunData& data);
// Of a step that was run with_gpas_view.
GpasMetrics gpas_view(const RunConfig& config, std::int64_t step, const StepResult& result);

}  // namespace gpas
