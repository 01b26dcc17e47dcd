// Scalar formulas, each in one place, for the loops of every backend.
#pragma once

#include "kernels/host_device.hpp"

#include <cmath>
#include <cstdint>

namespace gpas {

// How a gate parameter g becomes the share of the activation that is taken away (GPAS: silu).
// scale_silu is x · sigmoid(8 x), named as in the paper's code; scaled_silu is scale · silu(x).
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
    return sigmoid(x) * (T(1) + x * sigmoid(-x));  // sigmoid(-x) is 1 - sigmoid(x) with all of its digits
}
// d tanh / dx = 1 / cosh(x)². 1 - tanh(x)² would lose its digits for large |x|.
template <class T>
GPAS_HOST_DEVICE T dtanh(T x) {
    const T e = std::exp(T(-2) * std::abs(x));
    return T(4) * e / ((T(1) + e) * (T(1) + e));
}

// s(g); `scale` is the factor of scaled_silu and the slope below zero of leaky_relu.
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

// One step of an exponential moving average with decay β: β · old + (1 - β) · fresh. The smaller one of β and 1 - β is
// formed in double precision and rounded once. β = 0 gives `fresh` exactly. The fixed point is `fresh` for every β;
// with β and 1 - β rounded separately it would be wrong by 2^-25 / (1 - β).
struct AverageStep {
    float share = 0.0F;     // min(β, 1 - β)
    bool keeps_old = true;  // β > 1/2
};
inline AverageStep average_step(double beta) {
    return beta > 0.5 ? AverageStep{float(1.0 - beta), true} : AverageStep{float(beta), false};
}
// V: float, or a vector of floats
template <class V>
GPAS_HOST_DEVICE V moved_average(const AverageStep& step, V old, V fresh) {
    return step.keeps_old ? old + step.share * (fresh - old) : fresh + step.share * (old - fresh);
}

// What element i adds to a range's fingerprint: for a given i another value for every other `bits`, so that one changed
// element always shows.
GPAS_HOST_DEVICE inline std::uint64_t fingerprint_term(std::int64_t i, std::uint32_t bits) {
    std::uint64_t z = (std::uint64_t(i) + 1) * 0x9e3779b97f4a7c15ULL ^ bits * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 32)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 29);
}

}  // namespace gpas
