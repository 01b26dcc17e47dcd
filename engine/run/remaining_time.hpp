// How long a run will still take.
#pragma once

#include "io/config/run_config.hpp"

#include <cstdint>

namespace gpas {

class RemainingTime {
public:
    explicit RemainingTime(const RunConfig& config);

    // Wall seconds. Steps: an average over about the last 50. Evaluations and saves: the mean of all so far;
    // `checkpoint` counts what training waited, and may be called several times per save.
    void add_step(double seconds);
    void add_evaluation(double seconds);
    void add_save();
    void add_checkpoint_wait(double seconds);

    // After the update of `step` (from 1), before its evaluation and its save: seconds until the last step of
    // training.steps, with all evaluations and saves due. One of a kind that has not happened yet counts 0; < 0 before
    // the first step.
    double seconds_left(std::int64_t step) const;

private:
    struct Mean {
        double seconds = 0.0;
        std::int64_t count = 0;
        double value() const { return count > 0 ? seconds / double(count) : 0.0; }
    };
    // Steps of [step, steps] after which something is done that is due every so many steps (0: never) and at the end.
    std::int64_t still_due(std::int64_t step, std::int64_t every) const;

    std::int64_t steps_ = 0;
    std::int64_t evaluation_every_ = 0;
    std::int64_t checkpoint_every_ = 0;
    double step_seconds_ = 0.0;
    double weight_ = 0.0;  // of the average: what it has seen
    Mean evaluations_, saves_;
};

}  // namespace gpas
