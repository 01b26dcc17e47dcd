// Where the seconds of a step go, also where the host only enqueues: marks in the GPU's stream tell afterwards.
#pragma once

#include "base/phase_seconds.hpp"
#include "base/stopwatch.hpp"
#include "kernels/context.hpp"
#include "kernels/cuda/gpu.hpp"

#include <memory>

namespace gpas {

class StepClock {
public:
    explicit StepClock(Context& context);

    // In this order. Forward and backward begin; they are enqueued, in which the host has waited this long for other
    // ranks; the sums over ranks are.
    void begin();
    void computed(PhaseSeconds& seconds, double waited);
    void reduced(PhaseSeconds& seconds);
    // Of the host, since the last call.
    double lap() { return watch_.lap(); }
    // The host has waited, since the last lap, for the GPU to get past reduced(): each phase gets what it has had of
    // the GPU beyond what the host has counted for it, and the optimizer the rest (AdamW of the step before included).
    void waited_for_gpu(PhaseSeconds& seconds);

private:
    struct Marks {
        cuda::Mark begun, computed, reduced;
    };
    Stopwatch watch_;
    std::unique_ptr<Marks> marks_;  // on a GPU
    double host_compute_ = 0.0, host_reduction_ = 0.0;
};

}  // namespace gpas
