// The differences between two runs at equal numbers of consumed tokens.
#pragma once

#include "engine/report/json_values.hpp"
#include "engine/report/token_axis.hpp"

namespace gpas {

// other − first at each number of tokens at which both have a finite loss, without interpolation. Pure.
LossByTokens paired_differences(const LossByTokens& first, const LossByTokens& other);

// What a report keeps of a run for the comparison with other runs.
struct RunLosses {
    LossByTokens training;
    LossByTokens validation;
};

// The JSON of the page for the differences of one run to the first run:
//   training: x (tokens in the middle), mean, low, high of at most `most` equal parts; low and high are one standard deviation of the
//     part's differences below and above the mean, null for a part of one difference
//   validation: x (tokens), y
//   numbers: pairs, tokens (of the last pair), last_tenth {mean, deviation, count} of the training differences,
//     validation (the last difference), validation_tokens
// Losses are in nats. Pure.
ReportJson pair_json(const RunLosses& first, const RunLosses& other, std::size_t most);

}  // namespace gpas
