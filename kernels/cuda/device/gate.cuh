// Device functions of gates (struct Gate in kernels/ops.hpp).
#pragma once

#include "kernels/cuda/device/device.cuh"
#include "kernels/ops.hpp"

namespace gpas::cuda {

// k = 1 - s(g); 1 if the gate is absent
GPAS_DEVICE float gate_factor(const Gate& gate) {
    return gate.g != nullptr ? 1.0F - gate_value(gate.function, *gate.g, gate.scale) : 1.0F;
}
// Factor of the gradient dy that the gate passes on to x: 1 with stop_gradient, else k.
GPAS_DEVICE float gate_pass(const Gate& gate) { return gate.stop_gradient ? 1.0F : gate_factor(gate); }

// dg += -s'(g) sum, with sum = Σ dy ⊙ x. Does nothing if dg is null.
GPAS_DEVICE void add_gate_gradient(float* dg, const Gate& gate, double sum) {
    if (dg != nullptr) *dg += float(-double(gate_slope(gate.function, *gate.g, gate.scale)) * sum);
}

}  // namespace gpas::cuda
