// Floating-point operations per token by the two conventions in use, and the resulting fraction of the machine's peak.
#pragma once

#include "io/config/run_config.hpp"

#include <cstdint>

namespace gpas {

// Floating-point operations of forward and backward (3 x forward), per token of a full sequence. "Model" operations:
// what recomputation and padding add is not counted, nor are norms, activations and the optimizer.
struct FlopsPerToken {
    // Megatron's num_floating_point_operations (since 2025-03): matrices and LM head, without the input embedding;
    // attention scores counted for the causal half. 6 (L (h (n d + 2 g d) + n d h + 3 h f) + h V) + 6 L n d s
    double megatron = 0.0;
    // 6 N + 12 L n d s with N = all matrices, the input embedding included (once where it is tied; norm weights and
    // gates, under 0.1 %, left out), attention counted in full. As PaLM's appendix B, nanoGPT, picotron.
    double full = 0.0;
};

FlopsPerToken flops_per_token(const ModelConfig& model, std::int64_t sequence_length);

}  // namespace gpas
