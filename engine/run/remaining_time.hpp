// Estimates a run's remaining time.
#pragma once

#include "io/config/run_config.hpp"

#include <cstdint>

namespace gpas {

class RemainingTime {
public:
    explicit RemainingTime(const RunConfig& config);

    // Add wall seconds. The estimate uses an exponential average over about the last 50 steps, and the mean of all
    // evaluations and saves so far. A save's seconds are those that training waited for it: add_checkpoint_wait() may
    // be called several times per save, add_save() once.
    void add_step(double seconds);
    void add_evaluation(double seconds);
    void add_save();
    void add_checkpoint_wait(double seconds);

    // Seconds from now to the end of the run (training.steps), all evaluations and saves that are due included. To be
    // called after the update of `step` (from 1), before its evaluation and save. Evaluations and saves count 0 seconds
    // until the first one was added. < 0 (unknown) before the first step.
    double seconds_left(std::int64_t step) const;

private:
    struct Mean {
        double seconds = 0.0;
        std::int64_t count = 0;
        double value() const { return count > 0 ? seconds / double(count) : 0.0; }
    };
    // Number of steps in [step, steps] that are a multiple of `every` (0: none is) or the last step.
    std::int64_t still_due(std::int64_t step, std::int64_t every) const;

    std::int64_t steps_ = 0;
    std::int64_t evaluation_every_ = 0;
    std::int64_t checkpoint_every_ = 0;
    double step_seconds_ = 0.0;
    double weight_ = 0.0;  // sum of the weights in the average step_seconds_
    Mean evaluations_, saves_;
};

}  // namespace gpas
