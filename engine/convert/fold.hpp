// Converts a model with GPAS gates to an equivalent plain LLaMA. RMSNorm ignores the scale of its input (except for
// eps), so the gates' factors on the residual stream can be divided out of the weights that add to the stream.
#pragma once

#include "engine/convert/tensors.hpp"

#include <map>

namespace gpas {

struct Fold {
    ModelConfig model;  // a plain LLaMA
    // Parameter name -> factor of its weights in the folded model. Parameters that are not listed are unchanged.
    std::map<std::string, double> factors;
};

// Folds Pre-LN and LNS models with gates, and LNS with a constant factor on norms. Per site (sub-layer) let
// a = 1 - s(g), and c = the product of a over all earlier sites. The output weight of a site is divided by c; a norm
// that reads the stream at a place with c < 0 changes its sign. Error(usage) for architectures that are not a plain
// LLaMA even without gates, and if a gate is closed (a = 0).
Fold fold_gates(const ModelConfig& model, const Weights& weights);

// The weights multiplied by the fold's factors.
Weights apply(const Fold& fold, Weights weights);

}  // namespace gpas
