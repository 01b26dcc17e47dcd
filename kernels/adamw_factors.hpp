// What AdamW's loops need of a step and a piece, as every backend uses it.
#pragma once

#include "kernels/ops.hpp"

#include <cmath>

namespace gpas {

struct AdamwFactors {
    float beta1, beta2, gradient, first, second, epsilon, rate, keep;
};

inline AdamwFactors adamw_factors(const AdamwStep& s, const AdamwPiece& piece) {
    return {.beta1 = float(s.beta1),
            .beta2 = float(s.beta2),
            .gradient = float(piece.grad_factor),
            .first = float(1.0 / (1.0 - std::pow(s.beta1, double(s.step)))),
            .second = float(1.0 / (1.0 - std::pow(s.beta2, double(s.step)))),
            .epsilon = float(s.epsilon),
            .rate = float(s.learning_rate),
            .keep = float(1.0 - s.learning_rate * piece.weight_decay)};
}

}  // namespace gpas
