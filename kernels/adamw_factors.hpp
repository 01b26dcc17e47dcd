// Scalars of one AdamW step on one piece (kernels/ops.hpp), shared by the loops of all backends.
#pragma once

#include "kernels/math.hpp"
#include "kernels/ops.hpp"

#include <cmath>

namespace gpas {

struct AdamwFactors {
    AverageStep first, second;                  // updates of m (β₁) and v (β₂)
    float first_correction, second_correction;  // 1/(1-β₁ᵗ), 1/(1-β₂ᵗ)
    float epsilon, rate, decay;                 // decay: learning rate · weight decay
};

// 1 - βᵗ. This form keeps relative precision if β is so near to 1 that 1 - βᵗ would cancel.
inline double bias_correction(double beta, std::int64_t step) {
    return -std::expm1(double(step) * std::log1p(-(1.0 - beta)));
}

inline AdamwFactors adamw_factors(const AdamwStep& s, const AdamwPiece& piece) {
    return {.first = average_step(s.beta1),
            .second = average_step(s.beta2),
            .first_correction = float(1.0 / bias_correction(s.beta1, s.step)),
            .second_correction = float(1.0 / bias_correction(s.beta2, s.step)),
            .epsilon = float(s.epsilon),
            .rate = float(s.learning_rate),
            .decay = float(s.learning_rate * piece.weight_decay)};
}

}  // namespace gpas
