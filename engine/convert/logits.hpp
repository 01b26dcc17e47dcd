// What two sets of weights make of the same tokens.
#pragma once

#include "engine/convert/tensors.hpp"

#include <string>

namespace gpas {

struct ProbeTokens {
    std::vector<std::int32_t> ids;
    std::string source;  // for people
};
// The first `count` tokens of a .bin/.idx pair; of an empty prefix, or where ids are too large, pseudo-random ones.
ProbeTokens probe_tokens(const std::string& prefix, std::int64_t count, std::int64_t vocab_size);

// fp32, after every eighth of the tokens: [8, vocabulary]. Holds the whole model while it computes.
std::vector<float> logits_of(const ModelConfig& model, const Weights& weights, const ProbeTokens& tokens, int threads);

struct LogitsDifference {
    double largest = 0.0;       // |a - b|
    double of = 0.0;            // largest |a|
    std::int64_t same_top = 0;  // positions whose largest logit is the same
    std::int64_t positions = 0;
};
LogitsDifference compare_logits(const std::vector<float>& a, const std::vector<float>& b, std::int64_t vocab_size);

}  // namespace gpas
