// The records of a step in the metrics file: numbers, gates and stream variances, events, and stragglers.
#pragma once

#include "engine/guard/stragglers.hpp"
#include "engine/run/outputs.hpp"
#include "engine/run/run_state.hpp"
#include "engine/step/step.hpp"

namespace gpas {

// Seconds that training waited between two steps.
struct StepWaits {
    double evaluation = 0.0;
    double checkpoint = 0.0;
};

// Facts of a step's record that the step itself does not know.
struct StepFacts {
    StepWaits waits;             // before the step, since the record of the previous one
    double peak_flops = 0.0;     // per second, of all ranks
    double seconds_left = -1.0;  // until the end of the run; < 0: unknown
    std::int64_t arena_bytes = 0;
};

// progress: after the step.
StepMetrics step_record(const RunConfig& config, const Progress& progress, const StepResult& result,
                        const StepFacts& facts);
// Gates and stream variances of a step that ran with StepInput::with_gpas_view.
GpasMetrics gpas_view(const RunConfig& config, std::int64_t step, const StepResult& result);

// Writes the records of each step. On ranks other than 0 it does nothing. Not thread-safe.
class StepRecords {
public:
    // Keeps references to `config` and `outputs`. watcher: receives the status of all ranks; null: no look for
    // stragglers.
    StepRecords(const RunConfig& config, RunOutputs& outputs, Watcher* watcher);
    // To be called once after every step, with the progress after it.
    void write(const Progress& progress, const StepResult& result, const StepFacts& facts);

private:
    const RunConfig& config_;
    RunOutputs& outputs_;
    Watcher* watcher_;
    Stragglers stragglers_;
};

}  // namespace gpas
