// Losses and gradient norms that leave the run's recent past behind.
#pragma once

#include "io/config/run_config.hpp"

#include <deque>
#include <string>

namespace gpas {

class SpikeHistory {
public:
    explicit SpikeHistory(const GuardConfig& config) : config_(config) {}

    // Empty: as the steps before. Else what stands out: more than guard.spike_sigmas standard deviations above the mean
    // of the last guard.spike_window steps (of those that were kept; at least a quarter of the window), the loss, or
    // the gradient's norm where guard.spike_gradient says so. Deviations below a hundredth of the mean count as one.
    std::string spike(double loss, double gradient_norm) const;
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
