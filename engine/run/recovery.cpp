#include "engine/run/recovery.hpp"

#include <fmt/format.h>

namespace gpas {

Recovery::Recovery(const RunConfig& config, int replicas)
    : config_(config), compares_(config.guard.weights_every > 0 && replicas > 1) {}

void Recovery::trust_up_to(std::int64_t step) {
    if (compares_) trusted_ = step;
}

std::string Recovery::after_step(StepAction action, const std::string& why) {
    if (action == StepAction::no_tokens) return {};
    skipped_in_a_row_ = action == StepAction::skip ? skipped_in_a_row_ + 1 : 0;
    if (skipped_in_a_row_ < config_.training.max_skipped_steps) return {};
    return fmt::format("{} steps in a row were skipped (training.max_skipped_steps): {}", skipped_in_a_row_, why);
}

RollBack Recovery::roll_back(const Progress& bad, const std::string& why, const Load& load) {
    if (++roll_backs_ > config_.guard.max_roll_backs)
        return {.resumed = {},
                .progress = bad,
                .text = fmt::format("{} (after {} roll backs, guard.max_roll_backs)", why, roll_backs_ - 1)};
    std::optional<Resumed> resumed = load(trusted_);
    if (!resumed)
        return {.resumed = {},
                .progress = bad,
                .text = why +
                        " (there is no checkpoint to roll back to that was written before the last comparison of "
                        "replicas that passed)"};
    Progress progress = resumed->progress;
    progress.consumed_samples = bad.consumed_samples;
    std::string text = fmt::format("from step {} to {}; the data continues with sample {}. {}", bad.step,
                                   resumed->file.string(), progress.consumed_samples, why);
    return {.resumed = std::move(resumed), .progress = progress, .text = std::move(text)};
}

std::string Recovery::why_set_aside(std::int64_t step) const {
    return fmt::format("replicas differ at step {}, and the last comparison that passed was that of step {}'s weights",
                       step, trusted_);
}

}  // namespace gpas
