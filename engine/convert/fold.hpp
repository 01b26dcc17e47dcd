// A gated model as one without gates: RMSNorm ignores the scale of its input (up to eps), so what the gates do to the
// stream can be divided out of the weights that add to it.
#pragma once

#include "engine/convert/tensors.hpp"

#include <map>

namespace gpas {

struct Fold {
    ModelConfig model;                      // a plain LLaMA
    std::map<std::string, double> factors;  // of parameters of the gated model; the others stay
};

// Pre-LN and LNS rows with gates, and LNS with a constant factor on norms. With a = 1 - s(g) of each site and c their
// product before it: the output weight of a site is divided by c (its own gate not included), and a norm that reads the
// stream where c < 0 gets the other sign. Error(usage) for rows that are no plain LLaMA even without gates, and where a
// gate is closed (a = 0).
Fold fold_gates(const ModelConfig& model, const Weights& weights);

// The folded weights.
Weights apply(const Fold& fold, Weights weights);

}  // namespace gpas
