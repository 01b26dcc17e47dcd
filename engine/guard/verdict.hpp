// The action that follows from the numbers of a step. Pure functions: the same numbers and configuration give the same
// verdict on every rank.
#pragma once

#include "engine/guard/spikes.hpp"
#include "io/config/run_config.hpp"

#include <cstdint>
#include <string>

namespace gpas {

// The outcome of a step.
enum class StepAction {
    update,     // The weights are updated.
    skip,       // Bad numbers or a spike: the weights stay as they are, and the run continues.
    no_tokens,  // No token of the batch has a loss, so there is no gradient: as `skip`.
    roll_back,  // The weights stay as they are, and the run returns to its last checkpoint.
    stop,       // The weights stay as they are, and the run ends.
};

// The action of an event: "skip", "roll_back" or "stop"; "" for `update` and `no_tokens`.
const char* event_action_of(StepAction action);

// The action that the configuration asks for on an event.
StepAction action_on(TrainingConfig::OnBadNumbers policy);
StepAction action_on(GuardConfig::OnSpike policy);
StepAction action_on(GuardConfig::OnDifferentWeights policy);

// The numbers of a whole step, after the sums over the ranks.
struct StepNumbers {
    double loss = 0.0;           // mean over the loss tokens of the global batch
    double gradient_norm = 0.0;  // L2, before clipping
    std::int64_t loss_tokens = 0;
};

// Why a step is suspicious.
struct Suspicion {
    bool bad = false;  // the loss or the gradient norm is NaN or Inf
    Spike spike;       // only if not `bad`
    std::string text;  // the numbers if `bad`, else the spike's text

    explicit operator bool() const { return bad || spike; }
};

// spikes: null if guard.spike_sigmas is 0. A step without loss tokens is no spike.
Suspicion suspicion_of(const StepNumbers& numbers, const SpikeHistory* spikes);

}  // namespace gpas
