// Where the time of a training step goes.
#pragma once

namespace gpas {

// Seconds of one rank: of one step, of several, or per step. NaN: unknown.
struct PhaseSeconds {
    double data = 0.0;           // reading token files
    double compute = 0.0;        // forward and backward
    double communication = 0.0;  // waiting for other ranks, in and after forward and backward
    double optimizer = 0.0;

    // What does not depend on other ranks.
    double own_work() const { return data + compute + optimizer; }
    double total() const { return own_work() + communication; }

    PhaseSeconds& operator+=(const PhaseSeconds& other) {
        data += other.data;
        compute += other.compute;
        communication += other.communication;
        optimizer += other.optimizer;
        return *this;
    }
    // Per step: this, counted up to now, less `before`, counted up to `steps` steps ago.
    PhaseSeconds since(const PhaseSeconds& before, double steps) const {
        return {.data = (data - before.data) / steps,
                .compute = (compute - before.compute) / steps,
                .communication = (communication - before.communication) / steps,
                .optimizer = (optimizer - before.optimizer) / steps};
    }
};

}  // namespace gpas
