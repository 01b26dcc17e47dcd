// Detects losses and gradient norms far above those of the run's recent steps.
#pragma once

#include "io/config/run_config.hpp"

#include <deque>
#include <limits>
#include <string>

namespace gpas {

struct Spike {
    std::string event;  // "loss_spike" or "gradient_spike"; empty: no spike
    std::string text;   // "the loss 9.1 is 14 standard deviations above 5, the mean of 64 steps"
    explicit operator bool() const { return !event.empty(); }
};

// The largest numbers that are not spikes; infinity if no number is.
struct SpikeLimits {
    double loss = std::numeric_limits<double>::infinity();
    double gradient_norm = std::numeric_limits<double>::infinity();
};

class SpikeHistory {
public:
    explicit SpikeHistory(const GuardConfig& config) : config_(config) {}

    // A loss is a spike if it is more than guard.spike_sigmas standard deviations above the mean of the last
    // guard.spike_window added steps; the same for the gradient norm if guard.spike_gradient is set. The standard
    // deviation is taken as at least 1 % of the mean. No step is a spike before guard.spike_window / 4 steps, and at
    // least 2, are added.
    Spike spike(double loss, double gradient_norm) const;
    // The limits that spike() compares with. Known before a step, so that the device can decide on the update.
    SpikeLimits limits() const;
    // Adds the numbers of a step to the history.
    void add(double loss, double gradient_norm);

    // The history as a text for checkpoints; restore(text()) gives the same bits.
    std::string text() const;
    void restore(const std::string& text);

private:
    GuardConfig config_;
    std::deque<double> losses_, norms_;
};

}  // namespace gpas
