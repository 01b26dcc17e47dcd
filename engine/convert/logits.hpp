// Compares the logits that two sets of weights compute for the same tokens.
#pragma once

#include "engine/convert/tensors.hpp"

#include <string>

namespace gpas {

struct ProbeTokens {
    std::vector<std::int32_t> ids;
    std::string source;  // where the tokens come from, for a message
};
// The first `count` tokens of the .bin/.idx pair with this prefix. Pseudo-random tokens if the prefix is empty, if
// a token id is not below vocab_size, or if there are fewer than 8 tokens.
ProbeTokens probe_tokens(const std::string& prefix, std::int64_t count, std::int64_t vocab_size);

// Logits [8, vocabulary] fp32 at 8 positions: the ends of the eighths of the tokens. Holds the whole model in memory.
std::vector<float> logits_of(const ModelConfig& model, const Weights& weights, const ProbeTokens& tokens, int threads);

struct LogitsDifference {
    double largest = 0.0;       // max |a - b|
    double of = 0.0;            // max |a|
    std::int64_t same_top = 0;  // number of positions at which a and b have the same most likely token
    std::int64_t positions = 0;
};
// a, b: logits [positions, vocab_size], as logits_of() returns them.
LogitsDifference compare_logits(const std::vector<float>& a, const std::vector<float>& b, std::int64_t vocab_size);

}  // namespace gpas
