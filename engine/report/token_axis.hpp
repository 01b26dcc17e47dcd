// Places the records of a run on the axis of consumed tokens.
#pragma once

#include "io/metrics/run_history.hpp"

#include <span>

namespace gpas {

// Tokens consumed after `step`: those of the step's record. For a step without a record (metrics.every), the straight
// line between the neighbouring records; before the first record, from 0 tokens at step 0; after the last record, the
// last record's tokens. `steps`: increasing, not empty. Pure.
double tokens_at(std::span<const StepView> steps, std::int64_t step);

// Losses of a run by consumed tokens. Both vectors have one element per loss.
struct LossByTokens {
    std::vector<double> tokens;  // increasing
    std::vector<double> loss;    // nats; NaN if the loss was NaN or Inf
};
// Of every recorded step with loss tokens, and of every evaluation with loss tokens. Pure.
LossByTokens training_loss(const RunHistory& history);
LossByTokens validation_loss(const RunHistory& history);

}  // namespace gpas
