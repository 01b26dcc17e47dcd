#include "engine/run/remaining_time.hpp"

namespace gpas {
namespace {

constexpr double kept_share = 0.98;  // factor of the old average per step: a mean over about 50 steps

}  // namespace

RemainingTime::RemainingTime(const RunConfig& config)
    : steps_(config.training.steps),
      evaluation_every_(config.evaluation.every),
      checkpoint_every_(config.checkpoint.every) {}

void RemainingTime::add_step(double seconds) {
    step_seconds_ = kept_share * step_seconds_ + (1 - kept_share) * seconds;
    weight_ = kept_share * weight_ + (1 - kept_share);
}

void RemainingTime::add_evaluation(double seconds) {
    evaluations_.seconds += seconds;
    ++evaluations_.count;
}

void RemainingTime::add_save() { ++saves_.count; }

void RemainingTime::add_checkpoint_wait(double seconds) { saves_.seconds += seconds; }

std::int64_t RemainingTime::still_due(std::int64_t step, std::int64_t every) const {
    if (step > steps_) return 0;
    const std::int64_t multiples = every > 0 ? steps_ / every - (step - 1) / every : 0;
    return multiples + (every > 0 && steps_ % every == 0 ? 0 : 1);
}

double RemainingTime::seconds_left(std::int64_t step) const {
    if (weight_ == 0.0) return -1.0;
    const std::int64_t evaluations = evaluation_every_ > 0 ? still_due(step, evaluation_every_) : 0;
    return double(steps_ - step) * step_seconds_ / weight_ + double(evaluations) * evaluations_.value() +
           double(still_due(step, checkpoint_every_)) * saves_.value();
}

}  // namespace gpas
