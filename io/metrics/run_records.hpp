// From the JSON of a run's files to the views of run_view.hpp. Nothing here throws: what is missing or of another type
// is unknown. Internal to io/metrics.
#pragma once

#include "io/metrics/run_view.hpp"

#include <string_view>

namespace gpas {

// The step and the loss of a line that a JsonlSink wrote for a step, without parsing the rest: runs have 10^5 of them
// and more. Nothing: another kind of record, or a line from elsewhere, or torn.
std::optional<LossPoint> scan_step(std::string_view line);

enum class RecordKind { step, evaluation, gates, event, other };

RecordKind record_kind(std::string_view line);

StepView parse_step(std::string_view line);
EvalView parse_evaluation(std::string_view line);
std::vector<GateView> parse_gates(std::string_view line);
EventView parse_event(std::string_view line);

std::optional<LiveView> parse_live(std::string_view text);  // nothing: no JSON object

}  // namespace gpas
