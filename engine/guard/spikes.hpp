// Losses and gradient norms that leave the run's recent past behind.
#pragma once

#include "io/config/run_config.hpp"

#include <deque>
#include <limits>
#include <string>

namespace gpas {

struct Spike {
    std::string event;  // "loss_spike", "gradient_spike"; empty: none
    std::string text;   // "the loss 9.1 is 14 standard deviations above 5, the mean of 64 steps"
    explicit operator bool() const { return !event.empty(); }
};

// The largest numbers that do not stand out; infinite where nothing does.
struct SpikeLimits {
    double loss = std::numeric_limits<double>::infinity();
    double gradient_norm = std::numeric_limits<double>::infinity();
};

class SpikeHistory {
public:
    explicit SpikeHistory(const GuardConfig& config) : config_(config) {}

    // What stands out: more than guard.spike_sigmas standard deviations above the mean
    // of the last guard.spike_window steps (of those that were kept; at least a quarter of the window), the loss, or
    // the gradient's norm where guard.spike_gradient says so. Deviations below a hundredth of the mean count as one.
    Spike spike(double loss, double gradient_norm) const;
    // What spike() holds them against; known before a step.
    SpikeLimits limits() const;
    // The step counts.
    void add(double loss, double gradient_norm);

    // For checkpoints, to the bit.
    std::string text() const;
    void restore(const std::string& text);

private:
    GuardConfig config_;
    std::deque<double> losses_, norms_;
};

}  // namespace gpas
