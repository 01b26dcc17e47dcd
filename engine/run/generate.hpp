// Generates text with a trained model, token by token.
#pragma once

#include "engine/run/next_logits.hpp"
#include "engine/run/sample_token.hpp"

#include <cstdint>
#include <functional>
#include <vector>

namespace gpas {

using Prompt = std::vector<std::int32_t>;

struct GenerationOptions {
    std::int64_t count = 128;        // at most this number of new tokens per text
    std::vector<std::int32_t> ends;  // a text ends before the first of these tokens
    SamplingOptions sampling;
    std::size_t first = 0;  // the number of the first text: random choices differ by seed and by a text's number
    // Called on every rank with each new token, and the index of its prompt.
    std::function<void(std::size_t, std::int32_t)> on_token;
};

// Continues next.batch() prompts of at least one token each. Returns the new tokens of each. The model sees the last
// next.window() tokens of a text only. While a text fits in the window, a token costs the forward pass of one position:
// keys and values of earlier positions are kept. Past the window every token costs the forward pass of the window,
// because then each position, and with it each key, changes with every token. All texts advance together, position by
// position, so prompts of similar length take the least time. A text depends on its prompt, its number, the options and
// the weights only. Collective over the mesh; the same result on every rank.
std::vector<std::vector<std::int32_t>> generate(NextLogits& next, const std::vector<Prompt>& prompts,
                                                const GenerationOptions& options);

}  // namespace gpas
