// Parses the JSON of a run's files into the views of run_view.hpp. No function throws: a value that is missing or of
// another type becomes unknown. Internal to io/metrics.
#pragma once

#include "io/metrics/run_view.hpp"

#include <string_view>
#include <variant>

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

// A record of metrics.jsonl; std::monostate: a record of another kind, such as "task". Parses the line once.
using AnyRecord = std::variant<std::monostate, StepView, EvalView, GpasView, EventView>;
// nullopt if the line is not a JSON object with a text "kind" and a whole number "step" of at least 0.
std::optional<AnyRecord> parse_record(std::string_view line);

std::optional<LiveView> parse_live(std::string_view text);  // nullopt if the text is not a JSON object

}  // namespace gpas
