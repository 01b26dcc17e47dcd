// Generates text with a trained model, token by token.
#pragma once

#include "engine/step/replica.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace gpas {

struct SamplingOptions {
    double temperature = 1.0;  // 0: always the most likely token (greedy)
    std::int64_t top_k = 0;    // sample from the k most likely tokens only; 0: from all
    double top_p = 1.0;        // nucleus sampling: from the most likely tokens with this total probability (1904.09751)
    std::uint64_t seed = 1234;
    // Sample from ids below this one only: the tokenizer can have fewer ids than the model's vocabulary. 0: from all.
    std::int64_t vocab_size = 0;
};

// Samples a token from logits [V] with a uniform number u in [0, 1). Of equal logits the lower id comes first. Pure.
std::int32_t sample_token(std::span<const float> logits, const SamplingOptions& options, double u);

// Continues `prompt` (at least one token). Returns up to `count` new tokens; stops before the token `end` (-1: no such
// token), which is not returned. The model sees the last `sequence` tokens only. The replica's micro-batch must be one
// sample, without recomputation. While prompt and new tokens fit in the window of `sequence` tokens, a token costs the
// forward pass of one position: keys and values of earlier positions are kept. Past the window every token costs the
// forward pass of the window, because then each position, and with it each key, changes with every token. The result
// is a function of prompt, options and weights. on_token: called with each new token.
std::vector<std::int32_t> generate(Replica& replica, std::span<const std::int32_t> prompt, std::int64_t count,
                                   std::int32_t end, const SamplingOptions& options,
                                   const std::function<void(std::int32_t)>& on_token = {});

}  // namespace gpas
