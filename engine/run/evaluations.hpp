// The evaluations of a run: when one is due, whether it was interrupted, and what it found.
#pragma once

#include "engine/run/evaluate_tasks.hpp"
#include "engine/run/run_log.hpp"
#include "engine/run/setup.hpp"
#include "engine/run/stop.hpp"
#include "io/metrics/metrics.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gpas {

struct Evaluated {
    double seconds = 0.0;             // of the evaluation: the sum of those of `loss` and `tasks`, if it is complete
    std::optional<EvalMetrics> loss;  // nothing: the evaluation was interrupted, or the run has no validation data
    std::vector<TaskMetrics> tasks;   // of evaluation.tasks, in their order; empty if the evaluation was interrupted
    bool complete = false;            // false: no evaluation was due, or it was interrupted
};

// Not thread-safe.
class Evaluations {
public:
    // Keeps references to `setup` and `clock`. clock: its request to stop interrupts an evaluation.
    Evaluations(RunSetup& setup, const StopClock& clock, RunLog log);

    // Encodes evaluation.tasks. To be called once, before evaluate(). token_ids: `extra.token_ids` of the
    // checkpoint that training began with or resumes from; empty: it has none. Errors as prepare_tasks.
    void prepare(const std::string& token_ids);
    // Whether the evaluation of the last completed step is still due. Saved in checkpoints: if a run is stopped before
    // or during an evaluation, its next start does the evaluation first.
    bool pending() const { return pending_; }
    // The run resumes from a checkpoint with this mark. No effect if the configuration asks for no evaluations.
    void recall(bool pending);
    // To be called after every step. Sets pending() by evaluation.every; last: an evaluation is due after any step.
    void after_step(std::int64_t step, bool last);

    // Computes the validation loss and the tasks if pending(). An interrupted evaluation stays pending and has no
    // result. Collective.
    Evaluated evaluate(std::int64_t step);
    // The strongest request to stop of all ranks, after an evaluation was interrupted. Collective.
    StopRequest agreed_stop() const;

private:
    bool has_samples() const { return setup_.data.valid || !setup_.tasks.empty() || !tasks_.empty(); }
    std::vector<TaskMetrics> evaluate_tasks(std::int64_t step, const EvaluationHooks& hooks, bool& interrupted);

    RunSetup& setup_;
    const StopClock& clock_;
    RunLog log_;
    std::vector<PreparedTask> tasks_;
    bool pending_ = false;
};

}  // namespace gpas
