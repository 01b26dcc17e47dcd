// The table of architectures. A row holds the positions of norms and gates around a sub-layer, and the scale of the
// shortcut. engine/model/residual_site.hpp runs every row; a new architecture is a new row. All other properties of an
// architecture derive from its rows here, never from its name.
#pragma once

#include "io/config/run_config.hpp"

#include <cstdint>

namespace gpas {

enum class GatePlace {
    none,
    sum,       // h <- G(h + F(…)): the next reader of the residual stream sees the gated sum
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
    friend bool operator==(const ResidualRow&, const ResidualRow&) = default;
};

// The row of layer `layer` (from 0). Sources: GPAS (arXiv 2506.22049) and its reference code; DeepNorm (arXiv
// 2203.00555); LayerNorm Scaling (arXiv 2502.05795; `lns: output` follows the paper, `lns: init` the reference code);
// Mix-LN (arXiv 2412.13795); the reordered norm of OLMo 2 (arXiv 2501.00656). The GPAS paper has no row for the reordered
// norm. Its gate is that of the other rows without a norm on the sum: h <- G(h + N(F(h))), dh = dG, and both the shortcut
// and F of the next sub-layer read the gated h.
ResidualRow residual_row(const ModelConfig& model, std::int64_t layer);

// The number of Post-LN layers in an architecture that mixes norms: model.mix_post_layers, or layers / 4 if it is -1.
std::int64_t post_layers_of_mix(const ModelConfig& model);

bool has_gates(Architecture architecture);
bool scales_norms(Architecture architecture);      // LayerNorm Scaling: the rows depend on model.lns
bool mixes_norms(Architecture architecture);       // Mix-LN: the rows depend on model.mix_post_layers
bool is_pre_norm_only(Architecture architecture);  // the norms of LLaMA: one before each sub-layer, no scaled shortcut
// Initial weights as in DeepNorm (Xavier normal; model.output_init has no effect). The reference code initialises
// deeppost this way, but not deeppost_gpas.
bool has_deepnorm_init(Architecture architecture);

}  // namespace gpas
