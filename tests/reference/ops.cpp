#include "tests/reference/ops.hpp"

#include <algorithm>
#include <cmath>

namespace gpas::reference {
namespace {

double logistic(double x) { return 1.0 / (1.0 + std::exp(-x)); }

std::size_t at(Int i) { return std::size_t(i); }

// Softmax weights of one query over the keys it sees.
struct Weights {
    Int first;
    Vec p;
};

Weights weights(const Vec& qkv, const Heads& h, Int t, Int sample, Int head, Int first) {
    while (h.window > 0 && first <= t - h.window) ++first;
    const Int group = head / (h.heads / h.kv_heads);
    Weights w{first, {}};
    double most = -1e300;
    for (Int u = first; u <= t; ++u) {
        double s = 0.0;
        for (Int e = 0; e < h.dim; ++e)
            s += qkv[at((t * h.batch + sample) * h.columns() + h.query(head) + e)] *
                 qkv[at((u * h.batch + sample) * h.columns() + h.key(group) + e)];
        w.p.push_back(s / std::sqrt(double(h.dim)));
        most = std::max(most, w.p.back());
    }
    double sum = 0.0;
    for (double& p : w.p) sum += p = std::exp(p - most);
    for (double& p : w.p) p /= sum;
    return w;
}

}  // namespace

Vec matmul(const Vec& x, const Vec& w, Int T, Int N, Int K) {
    Vec y(at(T * N));
    for (Int t = 0; t < T; ++t)
        for (Int n = 0; n < N; ++n) {
            double sum = 0.0;
            for (Int k = 0; k < K; ++k) sum += x[at(t * K + k)] * w[at(n * K + k)];
            y[at(t * N + n)] = sum;
        }
    return y;
}

Vec matmul_dx(const Vec& dy, const Vec& w, Int T, Int N, Int K) {
    Vec dx(at(T * K));
    for (Int t = 0; t < T; ++t)
        for (Int n = 0; n < N; ++n)
            for (Int k = 0; k < K; ++k) dx[at(t * K + k)] += dy[at(t * N + n)] * w[at(n * K + k)];
    return dx;
}

void matmul_dw(Vec& dw, const Vec& dy, const Vec& x, Int T, Int N, Int K) {
    for (Int t = 0; t < T; ++t)
        for (Int n = 0; n < N; ++n)
            for (Int k = 0; k < K; ++k) dw[at(n * K + k)] += dy[at(t * N + n)] * x[at(t * K + k)];
}

Vec rmsnorm(const Vec& x, const Vec& w, double eps, double scale) {
    Vec n(x.size());
    const std::size_t C = w.size();
    for (std::size_t row = 0; row < x.size(); row += C) {
        double squares = 0.0;
        for (std::size_t j = 0; j < C; ++j) squares += x[row + j] * x[row + j];
        const double r = 1.0 / std::sqrt(squares / double(C) + eps);
        for (std::size_t j = 0; j < C; ++j) n[row + j] = scale * w[j] * x[row + j] * r;
    }
    return n;
}

Vec rmsnorm_backward(Vec& dw, const Vec& dn, const Vec& x, const Vec& w, double eps, double scale) {
    Vec dx(x.size());
    const std::size_t C = w.size();
    for (std::size_t row = 0; row < x.size(); row += C) {
        double squares = 0.0;
        double dot = 0.0;
        for (std::size_t j = 0; j < C; ++j) {
            squares += x[row + j] * x[row + j];
            dot += scale * w[j] * dn[row + j] * x[row + j];
        }
        const double r = 1.0 / std::sqrt(squares / double(C) + eps);
        for (std::size_t j = 0; j < C; ++j) {
            dx[row + j] = r * scale * w[j] * dn[row + j] - r * r * r * x[row + j] * dot / double(C);
            dw[j] += scale * dn[row + j] * x[row + j] * r;
        }
    }
    return dx;
}

void add_bias(Vec& y, const Vec& bias) {
    for (std::size_t i = 0; i < y.size(); ++i) y[i] += bias[i % bias.size()];
}

void add_bias_gradient(Vec& dbias, const Vec& dy) {
    for (std::size_t i = 0; i < dy.size(); ++i) dbias[i % dbias.size()] += dy[i];
}

double gate_value(GateFunction f, double g, double scale) {
    switch (f) {
        case GateFunction::silu: return g * logistic(g);
        case GateFunction::identity: return g;
        case GateFunction::relu: return std::max(g, 0.0);
        case GateFunction::tanh: return std::tanh(g);
        case GateFunction::leaky_relu: return g > 0 ? g : scale * g;
        case GateFunction::scaled_silu: return scale * g * logistic(g);
        case GateFunction::scale_silu: return g * logistic(8.0 * g);
    }
    return 0.0;
}

double gate_slope(GateFunction f, double g, double scale) {
    const double s = logistic(g);
    const double silu_slope = s + g * s * (1.0 - s);
    switch (f) {
        case GateFunction::silu: return silu_slope;
        case GateFunction::identity: return 1.0;
        case GateFunction::relu: return g > 0 ? 1.0 : 0.0;
        case GateFunction::tanh: return 1.0 / (std::cosh(g) * std::cosh(g));
        case GateFunction::leaky_relu: return g > 0 ? 1.0 : scale;
        case GateFunction::scaled_silu: return scale * silu_slope;
        case GateFunction::scale_silu: {
            const double s8 = logistic(8.0 * g);
            return s8 + 8.0 * g * s8 * (1.0 - s8);
        }
    }
    return 0.0;
}

void rope(Vec& qkv, const Heads& h, int direction) {
    const auto rotate = [&](Int position, Int begin) {
        for (Int i = 0; i < h.dim / 2; ++i) {
            const double angle = direction * double(position) * std::pow(h.rope_base, -2.0 * double(i) / double(h.dim));
            double& a = qkv[at(begin + i)];
            double& b = qkv[at(begin + i + h.dim / 2)];
            const double rotated = a * std::cos(angle) - b * std::sin(angle);
            b = b * std::cos(angle) + a * std::sin(angle);
            a = rotated;
        }
    };
    for (Int row = 0; row < h.sequence * h.batch; ++row) {
        for (Int head = 0; head < h.heads; ++head) rotate(row / h.batch, row * h.columns() + h.query(head));
        for (Int group = 0; group < h.kv_heads; ++group) rotate(row / h.batch, row * h.columns() + h.key(group));
    }
}

namespace {

// The elements of qkv that each norm covers, in the order of its weight.
std::vector<std::vector<std::size_t>> spans_of_row(const Heads& h, Int row, bool whole, bool queries) {
    std::vector<std::vector<std::size_t>> spans;
    for (Int head = 0; head < (queries ? h.heads : h.kv_heads); ++head) {
        if (spans.empty() || !whole) spans.emplace_back();
        for (Int e = 0; e < h.dim; ++e)
            spans.back().push_back(at(row * h.columns() + (queries ? h.query(head) : h.key(head)) + e));
    }
    return spans;
}

// Calls body(elements of one norm, whether they are queries) per row and norm.
template <class Body>
void for_each_span(const Heads& h, bool whole, Body&& body) {
    for (Int row = 0; row < h.sequence * h.batch; ++row)
        for (const bool queries : {true, false})
            for (const std::vector<std::size_t>& span : spans_of_row(h, row, whole, queries)) body(span, queries);
}

Vec gathered(const Vec& x, const std::vector<std::size_t>& elements) {
    Vec out;
    for (const std::size_t i : elements) out.push_back(x[i]);
    return out;
}

}  // namespace

Vec norm_heads(const Vec& qkv, const Heads& h, const HeadNorm& norm) {
    Vec out = qkv;
    for_each_span(h, norm.whole, [&](const std::vector<std::size_t>& span, bool queries) {
        const Vec n = rmsnorm(gathered(qkv, span), queries ? norm.wq : norm.wk, norm.eps, 1.0);
        for (std::size_t i = 0; i < span.size(); ++i) out[span[i]] = n[i];
    });
    return out;
}

Vec norm_heads_backward(Vec& dwq, Vec& dwk, const Vec& dn, const Vec& x, const Heads& h, const HeadNorm& norm) {
    Vec out = dn;
    for_each_span(h, norm.whole, [&](const std::vector<std::size_t>& span, bool queries) {
        const Vec dx = rmsnorm_backward(queries ? dwq : dwk, gathered(dn, span), gathered(x, span),
                                        queries ? norm.wq : norm.wk, norm.eps, 1.0);
        for (std::size_t i = 0; i < span.size(); ++i) out[span[i]] = dx[i];
    });
    return out;
}

Vec attention(const Vec& qkv, const Heads& h, const std::vector<std::int32_t>& segment_begin) {
    Vec o(at(h.sequence * h.batch * h.heads * h.dim));
    for (Int t = 0; t < h.sequence; ++t)
        for (Int sample = 0; sample < h.batch; ++sample)
            for (Int head = 0; head < h.heads; ++head) {
                const Int row = t * h.batch + sample;
                const Weights w = weights(qkv, h, t, sample, head, segment_begin[at(row)]);
                const Int value = h.value(head / (h.heads / h.kv_heads));
                for (std::size_t j = 0; j < w.p.size(); ++j)
                    for (Int e = 0; e < h.dim; ++e)
                        o[at((row * h.heads + head) * h.dim + e)] +=
                            w.p[j] * qkv[at(((w.first + Int(j)) * h.batch + sample) * h.columns() + value + e)];
            }
    return o;
}

Vec attention_backward(const Vec& d_o, const Vec& qkv, const Heads& h, const std::vector<std::int32_t>& segment_begin) {
    Vec dqkv(qkv.size());
    const double scale = 1.0 / std::sqrt(double(h.dim));
    for (Int t = 0; t < h.sequence; ++t)
        for (Int sample = 0; sample < h.batch; ++sample)
            for (Int head = 0; head < h.heads; ++head) {
                const Int row = t * h.batch + sample;
                const Int group = head / (h.heads / h.kv_heads);
                const Weights w = weights(qkv, h, t, sample, head, segment_begin[at(row)]);
                const auto key_row = [&](std::size_t j) {
                    return ((w.first + Int(j)) * h.batch + sample) * h.columns();
                };
                const double* d = &d_o[at((row * h.heads + head) * h.dim)];
                Vec dp(w.p.size());
                double mean = 0.0;
                for (std::size_t j = 0; j < w.p.size(); ++j) {
                    for (Int e = 0; e < h.dim; ++e) {
                        dp[j] += d[e] * qkv[at(key_row(j) + h.value(group) + e)];
                        dqkv[at(key_row(j) + h.value(group) + e)] += w.p[j] * d[e];
                    }
                    mean += w.p[j] * dp[j];
                }
                for (std::size_t j = 0; j < w.p.size(); ++j)
                    for (Int e = 0; e < h.dim; ++e) {
                        const double ds = w.p[j] * (dp[j] - mean) * scale;
                        dqkv[at(row * h.columns() + h.query(head) + e)] += ds * qkv[at(key_row(j) + h.key(group) + e)];
                        dqkv[at(key_row(j) + h.key(group) + e)] += ds * qkv[at(row * h.columns() + h.query(head) + e)];
                    }
            }
    return dqkv;
}

Vec swiglu(const Vec& gate_up, Int F) {
    Vec act(gate_up.size() / 2);
    for (std::size_t i = 0; i < act.size(); ++i) {
        const std::size_t gate = i / at(F) * at(2 * F) + i % at(F);
        act[i] = gate_up[gate] * logistic(gate_up[gate]) * gate_up[gate + at(F)];
    }
    return act;
}

Vec swiglu_backward(const Vec& dact, const Vec& gate_up, Int F) {
    Vec d(gate_up.size());
    for (std::size_t i = 0; i < dact.size(); ++i) {
        const std::size_t gate = i / at(F) * at(2 * F) + i % at(F);
        d[gate] = dact[i] * gate_up[gate + at(F)] * gate_slope(GateFunction::silu, gate_up[gate], 1.0);
        d[gate + at(F)] = dact[i] * gate_up[gate] * logistic(gate_up[gate]);
    }
    return d;
}

double cross_entropy(Vec& dlogits, const Vec& logits, const std::vector<std::int32_t>& labels, Int V) {
    dlogits.assign(logits.size(), 0.0);
    double total = 0.0;
    for (std::size_t t = 0; t < labels.size(); ++t) {
        if (labels[t] < 0) continue;
        const double* row = &logits[t * at(V)];
        const double most = *std::max_element(row, row + V);
        double sum = 0.0;
        for (Int j = 0; j < V; ++j) sum += std::exp(row[j] - most);
        total += most + std::log(sum) - row[labels[t]];
        for (Int j = 0; j < V; ++j)
            dlogits[t * at(V) + at(j)] = std::exp(row[j] - most) / sum - (j == labels[t] ? 1.0 : 0.0);
    }
    return total;
}

}  // namespace gpas::reference
