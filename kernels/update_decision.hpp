// Formulas of step_sums and decide_update (kernels/ops.hpp), shared by all backends.
#pragma once

#include "kernels/host_device.hpp"
#include "kernels/ops.hpp"

#include <cmath>

namespace gpas {

// min(1, max_norm / (norm + 1e-6)); max_norm <= 0: 1 (no clipping). The 1e-6 is that of PyTorch and Megatron: it avoids
// a division by zero if the gradient is zero.
GPAS_HOST_DEVICE inline double clip_factor(double max_norm, double norm) {
    if (!(max_norm > 0.0)) return 1.0;
    const double factor = max_norm / (norm + 1e-6);
    return factor < 1.0 ? factor : 1.0;
}

GPAS_HOST_DEVICE inline bool is_finite(double x) { return x - x == 0.0; }  // Inf - Inf and NaN - NaN are NaN

// own, loss [1], sums [4] and squares [2] are as in step_sums; own and sums are written.
GPAS_HOST_DEVICE inline void write_step_sums(double* sums, double* own, const double* loss, const double* squares,
                                             const StepTerms& terms) {
    *own = terms.factor * *loss;
    sums[0] = terms.counted ? *own : 0.0;
    sums[1] = terms.tokens;
    sums[2] = squares[0] + squares[1];
    sums[3] = squares[1];
}

// sums [4]: step_sums over all ranks
GPAS_HOST_DEVICE inline UpdateDecision decision_of(const double* sums, const UpdateRule& rule) {
    const double tokens = sums[1] > 1.0 ? sums[1] : 1.0;
    const double divisor = rule.divisor > 0.0 ? rule.divisor : tokens;
    UpdateDecision d;
    d.loss = sums[0] / tokens;
    d.gradient_norm = std::sqrt(sums[2]) / divisor;
    d.gate_gradient_norm = std::sqrt(sums[3]) / divisor;
    d.clip = clip_factor(rule.clip, d.gradient_norm);
    d.gate_clip = clip_factor(rule.gate_clip, d.clip * d.gate_gradient_norm);
    d.factor = 1.0 / divisor * d.clip;
    d.gate_factor = d.factor * d.gate_clip;
    const bool usual = d.loss <= rule.most_loss && d.gradient_norm <= rule.most_gradient_norm;
    const bool finite = is_finite(d.loss) && is_finite(d.gradient_norm);
    d.taken = rule.allowed && sums[1] > 0.0 && finite && usual ? 1.0 : 0.0;
    return d;
}

}  // namespace gpas
