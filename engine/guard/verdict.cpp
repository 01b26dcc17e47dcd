#include "engine/guard/verdict.hpp"

#include "base/error.hpp"
#include "engine/model/number_probe.hpp"

#include <fmt/format.h>

#include <cmath>

namespace gpas {

const char* event_action_of(StepAction action) {
    switch (action) {
        case StepAction::update:
        case StepAction::no_tokens: return "";
        case StepAction::skip: return "skip";
        case StepAction::roll_back: return "roll_back";
        case StepAction::stop: return "stop";
    }
    fail(ExitCode::internal, "an action of a step without a name");
}

StepAction action_on(TrainingConfig::OnBadNumbers policy) {
    switch (policy) {
        case TrainingConfig::OnBadNumbers::stop: return StepAction::stop;
        case TrainingConfig::OnBadNumbers::skip: return StepAction::skip;
        case TrainingConfig::OnBadNumbers::roll_back: return StepAction::roll_back;
    }
    fail(ExitCode::internal, "an unknown training.on_bad_numbers");
}

StepAction action_on(GuardConfig::OnSpike policy) {
    switch (policy) {
        case GuardConfig::OnSpike::warn: return StepAction::update;
        case GuardConfig::OnSpike::skip: return StepAction::skip;
        case GuardConfig::OnSpike::roll_back: return StepAction::roll_back;
        case GuardConfig::OnSpike::stop: return StepAction::stop;
    }
    fail(ExitCode::internal, "an unknown guard.on_spike");
}

StepAction action_on(GuardConfig::OnDifferentWeights policy) {
    switch (policy) {
        case GuardConfig::OnDifferentWeights::stop: return StepAction::stop;
        case GuardConfig::OnDifferentWeights::roll_back: return StepAction::roll_back;
    }
    fail(ExitCode::internal, "an unknown guard.on_different_weights");
}

Suspicion suspicion_of(const StepNumbers& numbers, const SpikeHistory* spikes) {
    if (!std::isfinite(numbers.loss) || !std::isfinite(numbers.gradient_norm))
        return {.bad = true,
                .text = fmt::format("loss {}, gradient norm {}", number_text(numbers.loss),
                                    number_text(numbers.gradient_norm))};
    if (spikes == nullptr || numbers.loss_tokens == 0) return {};
    const Spike spike = spikes->spike(numbers.loss, numbers.gradient_norm);
    return {.spike = spike, .text = spike.text};
}

}  // namespace gpas
