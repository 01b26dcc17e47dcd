// Parses the JSON of a run's files into the views of run_view.hpp. No function throws: a value that is missing or of
// another type becomes unknown. Internal to io/metrics.
#pragma once

#include "io/metrics/run_view.hpp"

#include <string_view>

namespace gpas {

// The step and the loss of a step record that a JsonlSink wrote, without parsing the whole line, because runs have 10^5
// and more of these lines. nullopt for other kinds of records, for incomplete lines, and for lines of other programs.
std::optional<LossPoint> scan_step(std::string_view line);

enum class RecordKind { step, evaluation, gates, event, other };

RecordKind record_kind(std::string_view line);

StepView parse_step(std::string_view line);
EvalView parse_evaluation(std::string_view line);
std::vector<GateView> parse_gates(std::string_view line);
EventView parse_event(std::string_view line);

std::optional<LiveView> parse_live(std::string_view text);  // nullopt if the text is not a JSON object

}  // namespace gpas
