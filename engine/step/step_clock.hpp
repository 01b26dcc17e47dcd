// Divides the seconds of a step into phases (compute, communication, optimizer). On a GPU, where the host only
// enqueues, it uses events in the GPU's stream.
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

    // A step calls begin(), computed(), reduced() and waited_for_gpu(), in this order. The last three add (+=) to
    // `seconds`.
    // Before forward and backward.
    void begin();
    // After forward and backward (on a GPU: after they are enqueued). waited: host seconds in them spent waiting for
    // other ranks; they count as communication.
    void computed(PhaseSeconds& seconds, double waited);
    // After the sums over the ranks (on a GPU: after they are enqueued).
    void reduced(PhaseSeconds& seconds);
    // Host seconds since the last call of a function of this class.
    double lap() { return watch_.lap(); }
    // After the host has waited for the GPU to pass reduced(). Divides the wait: compute and communication get the GPU
    // seconds that exceed the host seconds counted for them; optimizer gets the rest, which includes AdamW of the
    // previous step.
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
