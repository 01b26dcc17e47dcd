// Floating-point operations per token, by the two conventions in use.
#pragma once

#include "io/config/run_config.hpp"

#include <cstdint>

namespace gpas {

// Floating-point operations of forward and backward (3 x forward) per token of a full sequence. Model FLOPs, as for
// MFU: the operations that recomputation and padding add, norms, activation functions and the optimizer are not
// counted. L layers, h hidden_size, n heads, g kv_heads, d head_dim, f ffn_size, V vocab_size, s sequence_length,
// w = min(sliding_window, s), or s if sliding_window is 0.
struct FlopsPerToken {
    // As Megatron-LM's num_floating_point_operations (since 2025-03): matrices and LM head, without the input
    // embedding; only the attention scores that the mask keeps: half of all, or fewer with a sliding window.
    //     6 (L (h (n d + 2 g d) + n d h + 3 h f) + h V) + 6 L n d w (2 - w/s)
    double megatron = 0.0;
    // As in PaLM's appendix B, nanoGPT and picotron: 6 N + 12 L n d w. N is the number of elements of all matrices,
    // including the input embedding (once if it is tied to the head); norm weights and gates, under 0.1 %, are left
    // out. The causal half of the attention scores is counted as well: s per position, or w with a sliding window.
    double full = 0.0;
};

// Mean number of keys that a position of a full sequence attends to: w (1 - w/(2 s)). Half of the scores on the edges of
// the mask is counted.
double keys_per_position(const ModelConfig& model, std::int64_t sequence_length);  // sequence_length in tokens

FlopsPerToken flops_per_token(const ModelConfig& model, std::int64_t sequence_length);  // sequence_length in tokens

}  // namespace gpas
