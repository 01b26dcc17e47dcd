// The time of a training step, by phase.
#pragma once

namespace gpas {

// Seconds of one rank: of one step, the sum over several steps, or the mean per step. NaN: unknown.
struct PhaseSeconds {
    double data = 0.0;           // reading token files
    double compute = 0.0;        // forward and backward
    double communication = 0.0;  // waiting for other ranks, during and after forward and backward
    double optimizer = 0.0;

    // The time that does not depend on other ranks: what distinguishes a straggler from the ranks that wait for it.
    double own_work() const { return data + compute + optimizer; }
    double total() const { return own_work() + communication; }

    PhaseSeconds& operator+=(const PhaseSeconds& other) {
        data += other.data;
        compute += other.compute;
        communication += other.communication;
        optimizer += other.optimizer;
        return *this;
    }
    // The mean per step over the last `steps` steps: (this - before) / steps. `before`: the same sum, `steps` steps
    // ago.
    PhaseSeconds since(const PhaseSeconds& before, double steps) const {
        return {.data = (data - before.data) / steps,
                .compute = (compute - before.compute) / steps,
                .communication = (communication - before.communication) / steps,
                .optimizer = (optimizer - before.optimizer) / steps};
    }
};

}  // namespace gpas
