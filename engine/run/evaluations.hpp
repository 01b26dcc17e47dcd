// The evaluations of a run: when one is due, whether it was interrupted, and what it found.
#pragma once

#include "engine/run/evaluate.hpp"
#include "engine/run/run_log.hpp"
#include "engine/run/setup.hpp"
#include "engine/run/stop.hpp"
#include "io/metrics/metrics.hpp"

#include <cstdint>
#include <optional>

namespace gpas {

struct Evaluated {
    double seconds = 0.0;             // that training waited
    std::optional<EvalMetrics> loss;  // nothing: the evaluation was interrupted, or the run has no validation data
};

// Not thread-safe.
class Evaluations {
public:
    // Keeps references to `setup` and `clock`. clock: its request to stop interrupts an evaluation.
    Evaluations(RunSetup& setup, const StopClock& clock, RunLog log);

    // Whether the evaluation of the last completed step is still due. Saved in checkpoints: if a run is stopped before
    // or during an evaluation, its next start does the evaluation first.
    bool pending() const { return pending_; }
    // The run resumes from a checkpoint with this mark. No effect if the configuration asks for no evaluations.
    void recall(bool pending);
    // To be called after every step. Sets pending() by evaluation.every; last: an evaluation is due after any step.
    void after_step(std::int64_t step, bool last);

    // Evaluates if pending(). An interrupted evaluation stays pending and has no loss. Collective.
    Evaluated evaluate(std::int64_t step);
    // The strongest request to stop of all ranks, after an evaluation was interrupted. Collective.
    StopRequest agreed_stop() const;

private:
    RunSetup& setup_;
    const StopClock& clock_;
    RunLog log_;
    bool pending_ = false;
};

}  // namespace gpas
