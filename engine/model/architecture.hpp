// The table of architectures: where the norms stand around a sub-layer, where the gate stands, how the sum is scaled.
// One piece of code (residual_site.hpp) runs every row; a new architecture is a new row.
#pragma once

#include "io/config/run_config.hpp"

#include <cstdint>

namespace gpas {

enum class GatePlace {
    none,
    sum,       // h <- G(h + F(…)): what the next reader of the stream sees
    shortcut,  // h <- N(alpha G(h) + F(h)): the branch sees the ungated h
};

// The residual connection around one sub-layer F:
//   n = pre_norm ? norm_scale · N(h) : h;   b = branch_norm ? N₂(F(n)) : F(n)
//   s = alpha · (gate at shortcut ? G(h) : h) + b;   h <- sum_norm ? N(s) : (gate at sum ? G(s) : s)
struct ResidualRow {
    bool pre_norm = false;
    bool branch_norm = false;
    bool sum_norm = false;
    GatePlace gate = GatePlace::none;
    double alpha = 1.0;
    double norm_init = 1.0;   // initial weight of the pre-norm
    double norm_scale = 1.0;  // constant factor on the pre-norm's output
};

// The row of layer `layer` (from 0). Sources: GPAS (arXiv 2506.22049) and its reference code; DeepNorm arXiv
// 2203.00555; LayerNorm Scaling arXiv 2502.05795 (`lns: output` as the paper, `lns: init` as the reference code);
// Mix-LN 2412.13795.
ResidualRow residual_row(const ModelConfig& model, std::int64_t layer);

bool has_gates(Architecture architecture);

}  // namespace gpas
