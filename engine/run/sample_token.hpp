// Chooses the next token from logits.
#pragma once

#include <cstdint>
#include <span>

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

}  // namespace gpas
