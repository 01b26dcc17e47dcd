// The math in double precision, slow and obvious, forward and backward: what every kernel and the engine are held
// against. Written from GPAS.md's formulas, sharing no code with kernels/.
#pragma once

#include "io/config/run_config.hpp"

#include <cstdint>
#include <functional>
#include <vector>

namespace gpas::reference {

using Vec = std::vector<double>;
using Int = std::int64_t;

// y [T,N] = x [T,K] wᵀ, w [N,K]
Vec matmul(const Vec& x, const Vec& w, Int T, Int N, Int K);
Vec matmul_dx(const Vec& dy, const Vec& w, Int T, Int N, Int K);            // dy w
void matmul_dw(Vec& dw, const Vec& dy, const Vec& x, Int T, Int N, Int K);  // += dyᵀ x

// n = scale · w ⊙ x / √(mean(x²) + eps), rows of C
Vec rmsnorm(const Vec& x, const Vec& w, double eps, double scale);
Vec rmsnorm_backward(Vec& dw, const Vec& dn, const Vec& x, const Vec& w, double eps, double scale);  // dx; dw +=

// y [T,N] += bias; dbias += Σ_t dy[t]
void add_bias(Vec& y, const Vec& bias);
void add_bias_gradient(Vec& dbias, const Vec& dy);

double gate_value(GateFunction f, double g, double scale);
double gate_slope(GateFunction f, double g, double scale);

struct Heads {
    Int sequence, batch, heads, kv_heads, dim;
    double rope_base;
    Int window = 0;  // 0: no limit
    Int columns() const { return (heads + 2 * kv_heads) * dim; }
    Int query(Int head) const {
        return ((head / (heads / kv_heads)) * (heads / kv_heads + 2) + head % (heads / kv_heads)) * dim;
    }
    Int key(Int group) const { return (group * (heads / kv_heads + 2) + heads / kv_heads) * dim; }
    Int value(Int group) const { return key(group) + dim; }
};

// Rotate-half on query and key heads of packed rows (row = position · batch + sample); direction -1: backward
void rope(Vec& qkv, const Heads& h, int direction);
// QK-norm: RMSNorm of each query head and of each key head (whole: of all query heads together, and of all key heads),
// with the weights wq and wk. The values stay as they are.
struct HeadNorm {
    bool whole;
    Vec wq, wk;
    double eps;
};
Vec norm_heads(const Vec& qkv, const Heads& h, const HeadNorm& norm);
// dqkv; dwq and dwk +=. x: qkv before the norm.
Vec norm_heads_backward(Vec& dwq, Vec& dwk, const Vec& dn, const Vec& x, const Heads& h, const HeadNorm& norm);
// segment_begin [T]: position t sees u in [segment_begin, t], with a window those with u > t - window
Vec attention(const Vec& qkv, const Heads& h, const std::vector<std::int32_t>& segment_begin);
Vec attention_backward(const Vec& d_o, const Vec& qkv, const Heads& h, const std::vector<std::int32_t>& segment_begin);

// gate_up rows [gate | up], F each
Vec swiglu(const Vec& gate_up, Int F);
Vec swiglu_backward(const Vec& dact, const Vec& gate_up, Int F);

// Σ of -log softmax(logits)[label] over labels ≠ -1; dlogits = its gradient
double cross_entropy(Vec& dlogits, const Vec& logits, const std::vector<std::int32_t>& labels, Int V);

}  // namespace gpas::reference
