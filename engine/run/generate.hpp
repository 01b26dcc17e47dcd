// Text from a trained model, token by token.
#pragma once

#include "engine/step/replica.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace gpas {

struct SamplingOptions {
    double temperature = 1.0;  // 0: always the most likely token
    std::int64_t top_k = 0;    // only the k most likely; 0: all
    double top_p = 1.0;        // only the most likely ones that together have this probability (arXiv 1904.09751)
    std::uint64_t seed = 1234;
    std::int64_t vocab_size = 0;  // only ids below this one, which the tokenizer has; 0: all that the model has
};

// The token for a uniform number u in [0, 1). Ties go to the lower id.
std::int32_t sample_token(std::span<const float> logits, const SamplingOptions& options, double u);

// Continues `prompt` (at least one token) by up to `count` tokens, fewer when `end` (-1: none) comes up, which is not
// returned. Only the last tokens that fit the model's sequence are seen. The replica's micro-batch is one sample. The
// same prompt, options and weights give the same tokens. on_token: called with each token as it comes.
std::vector<std::int32_t> generate(Replica& replica, std::span<const std::int32_t> prompt, std::int64_t count,
                                   std::int32_t end, const SamplingOptions& options,
                                   const std::function<void(std::int32_t)>& on_token = {});

}  // namespace gpas
