// Scalar formulas that the loops of all backends share.
#pragma once

#include "kernels/host_device.hpp"

#include <cmath>
#include <cstdint>

namespace gpas {

// Function s(g) of a gate k = 1 - s(g) (struct Gate in kernels/ops.hpp); GPAS uses silu.
// scale_silu: g · sigmoid(8 g), the name in the paper's code. scaled_silu: scale · silu(g).
enum class GateFunction : std::uint8_t { silu, identity, relu, tanh, leaky_relu, scaled_silu, scale_silu };

template <class T>
GPAS_HOST_DEVICE T sigmoid(T x) {
    return T(1) / (T(1) + std::exp(-x));
}
template <class T>
GPAS_HOST_DEVICE T silu(T x) {
    return x * sigmoid(x);
}
template <class T>
GPAS_HOST_DEVICE T dsilu(T x) {                    // d silu / dx
    return sigmoid(x) * (T(1) + x * sigmoid(-x));  // sigmoid(-x): 1 - sigmoid(x) without cancellation
}
// d tanh / dx = 1 / cosh(x)². The form 1 - tanh(x)² would cancel for large |x|.
template <class T>
GPAS_HOST_DEVICE T dtanh(T x) {
    const T e = std::exp(T(-2) * std::abs(x));
    return T(4) * e / ((T(1) + e) * (T(1) + e));
}

// s(g). `scale`: the factor of scaled_silu, and the slope of leaky_relu for g < 0; other functions ignore it.
template <class T>
GPAS_HOST_DEVICE T gate_value(GateFunction function, T g, T scale) {
    switch (function) {
        case GateFunction::silu: return silu(g);
        case GateFunction::identity: return g;
        case GateFunction::relu: return g > T(0) ? g : T(0);
        case GateFunction::tanh: return std::tanh(g);
        case GateFunction::leaky_relu: return g > T(0) ? g : scale * g;
        case GateFunction::scaled_silu: return scale * silu(g);
        case GateFunction::scale_silu: return g * sigmoid(T(8) * g);
    }
    return T(0);
}

// ds / dg
template <class T>
GPAS_HOST_DEVICE T gate_slope(GateFunction function, T g, T scale) {
    switch (function) {
        case GateFunction::silu: return dsilu(g);
        case GateFunction::identity: return T(1);
        case GateFunction::relu: return g > T(0) ? T(1) : T(0);
        case GateFunction::tanh: return dtanh(g);
        case GateFunction::leaky_relu: return g > T(0) ? T(1) : scale;
        case GateFunction::scaled_silu: return scale * dsilu(g);
        case GateFunction::scale_silu: return dsilu(T(8) * g);
    }
    return T(0);
}

// One step of an exponential moving average with decay β: β · old + (1 - β) · fresh. min(β, 1 - β) is computed in fp64
// and rounded once to fp32; the other weight is implied. So β = 0 gives `fresh` exactly, and for every β the average of
// a constant is that constant. If β and 1 - β were rounded separately, that average would be wrong by 2^-25 / (1 - β).
struct AverageStep {
    float share = 0.0F;     // min(β, 1 - β): weight of `fresh` if keeps_old, else of `old`
    bool keeps_old = true;  // β > 1/2
};
inline AverageStep average_step(double beta) {
    return beta > 0.5 ? AverageStep{float(1.0 - beta), true} : AverageStep{float(beta), false};
}
// The average after one step. V: float, or a vector of floats.
template <class V>
GPAS_HOST_DEVICE V moved_average(const AverageStep& step, V old, V fresh) {
    return step.keeps_old ? old + step.share * (fresh - old) : fresh + step.share * (old - fresh);
}

// Term of element i in a tensor's fingerprint. For a given i, different `bits` give different terms, so a change of one
// element always changes the sum.
GPAS_HOST_DEVICE inline std::uint64_t fingerprint_term(std::int64_t i, std::uint32_t bits) {
    std::uint64_t z = (std::uint64_t(i) + 1) * 0x9e3779b97f4a7c15ULL ^ bits * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 32)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 29);
}

}  // namespace gpas
