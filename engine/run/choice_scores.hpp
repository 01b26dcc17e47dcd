// The scores of multiple-choice questions, from the log-likelihoods of their choices.
#pragma once

#include "io/data/choice_task.hpp"
#include "io/metrics/metrics.hpp"

#include <span>

namespace gpas {

// log_likelihoods: natural logarithms, one per choice, all questions in order. A question counts as right if the right
// choice has the highest log-likelihood (acc), or the highest one per character (acc_norm) or per byte (acc_bytes) of
// its text without the delimiter; of equal ones the first counts. A question with a NaN is not right. Standard errors
// are sample deviation / √questions, 0 for one question. bits_per_byte = -Σ log2 likelihood of the right choices / Σ of
// their bytes. Sets name and scores, not step and seconds. Pure.
TaskMetrics choice_scores(const ChoiceTask& task, std::span<const double> log_likelihoods);

}  // namespace gpas
