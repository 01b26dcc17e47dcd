// Lines that describe a run in the log.
#pragma once

#include "engine/step/replica.hpp"
#include "io/data/batch.hpp"
#include "parallel/mesh.hpp"

#include <string>
#include <vector>

namespace gpas {

// One line each for model, layout, batch and memory (of this rank).
std::vector<std::string> run_lines(const RunConfig& config, const Mesh& mesh, const Replica& replica,
                                   std::int64_t micro_batches);
// Advice to the user about a step that ended the run. event: EventMetrics::event.
std::string advice_on(const std::string& event);

// The outcome of data.truncated_end: auto, one line per training source whose documents are truncated.
std::vector<std::string> truncation_lines(const RunData& data);

}  // namespace gpas
