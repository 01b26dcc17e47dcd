#include "kernels/backend.hpp"

#include "kernels/cpu/blocks.hpp"
#include "kernels/cpu/vector_math.hpp"
#include "kernels/cpu/visit.hpp"

#include <cmath>

namespace gpas::cpu {
namespace {

// k = 1 - s(g); 1 if the gate is absent
float factor(const Gate& gate) { return gate ? 1.0F - gate_value(gate.function, *gate.g, gate.scale) : 1.0F; }
// Factor of the gradient dy that the gate passes on to x: 1 with stop_gradient, else k.
float pass_factor(const Gate& gate) { return gate.stop_gradient ? 1.0F : factor(gate); }

// dg += -s'(g) sum, with sum = Σ dy ⊙ x. Does nothing if dg is null.
void add_gate_gradient(float* dg, const Gate& gate, double sum) {
    if (dg != nullptr) *dg += float(-double(gate_slope(gate.function, *gate.g, gate.scale)) * sum);
}

// 1/√(mean((k x)²) + eps)
template <class T>
float row_rstd(const T* x, std::int64_t columns, float k, float eps) {
    Vec sum{};
    for_lanes(columns, [&](std::int64_t i, std::int64_t n) {
        const Vec h = k * load_n(x + i, n);
        sum += h * h;
    });
    return 1.0F / std::sqrt(horizontal_sum(sum) / float(columns) + eps);
}

// out = scale · w ⊙ k x · rstd
template <class T>
void row_norm(T* out, const T* x, const T* w, std::int64_t columns, float k, float rstd, float scale) {
    const float common = k * rstd;
    for_lanes(columns, [&](std::int64_t i, std::int64_t n) {
        const Vec weight = load_n(w + i, n) * scale;
        store_n(out + i, weight * (load_n(x + i, n) * common), n);
    });
}

// Sums over rows that the gradients of the two gates need.
struct GateSums {
    double stream = 0.0;    // Σ d_h ⊙ x
    double shortcut = 0.0;  // Σ alpha d ⊙ h
};

struct BackwardFactors {
    float k;         // factor(h.gate)
    float pass;      // pass_factor(h.gate)
    float alpha;     // r.alpha
    float shortcut;  // alpha · pass_factor(r.shortcut)
    float scale;     // of the norm
    bool want_stream;
    bool want_shortcut;
};

BackwardFactors backward_factors(const GateGradients& dgate, const Residual& r, const ResidualStream& h, float scale) {
    return {.k = factor(h.gate),
            .pass = pass_factor(h.gate),
            .alpha = r.alpha,
            .shortcut = r.alpha * pass_factor(r.shortcut),
            .scale = scale,
            .want_stream = dgate.stream != nullptr,
            .want_shortcut = dgate.shortcut != nullptr};
}

// One row of rmsnorm_backward(): writes d, adds to dw (fp32 [columns]; null: skipped) and to sums.
template <class T>
void row_norm_backward(T* d, float* dw, GateSums& sums, const T* dn, const T* x, const T* w, std::int64_t columns,
                       float rstd, const BackwardFactors& f) {
    Vec dot{};
    for_lanes(columns,
              [&](std::int64_t i, std::int64_t n) { dot += load_n(dn + i, n) * load_n(w + i, n) * load_n(x + i, n); });
    // n = scale · w h rstd  ⇒  dh = rstd (g - h rstd² mean(g h)) with g = scale · w dn, h = k x
    const float mean = horizontal_sum(dot) * f.scale * f.k / float(columns);
    const float pull = rstd * rstd * rstd * mean * f.k;
    const float push = rstd * f.scale;
    const float dw_factor = rstd * f.scale * f.k;
    Vec stream_sum{};
    Vec shortcut_sum{};
    for_lanes(columns, [&](std::int64_t i, std::int64_t n) {
        const Vec vx = load_n(x + i, n);
        const Vec vdn = load_n(dn + i, n);
        Vec dh = push * (load_n(w + i, n) * vdn) - pull * vx;
        if (f.alpha != 0.0F) {
            const Vec vd = load_n(d + i, n);
            dh += f.shortcut * vd;
            shortcut_sum += vd * vx;
        }
        if (dw != nullptr) store_n(dw + i, load_n(dw + i, n) + dw_factor * (vdn * vx), n);
        stream_sum += dh * vx;
        store_n(d + i, dh * f.pass, n);
    });
    if (f.want_stream) sums.stream += double(horizontal_sum(stream_sum));
    if (f.want_shortcut) sums.shortcut += double(f.alpha * f.k) * double(horizontal_sum(shortcut_sum));
}

// One row of residual_backward(): writes d, adds to sums. db null: no gradient of the branch's input.
template <class T>
void row_residual_backward(T* d, GateSums& sums, const T* db, const T* x, std::int64_t columns,
                           const BackwardFactors& f) {
    Vec stream_sum{};
    Vec shortcut_sum{};
    for_lanes(columns, [&](std::int64_t i, std::int64_t n) {
        const Vec vd = load_n(d + i, n);
        const Vec vx = load_n(x + i, n);
        Vec dh = f.shortcut * vd;
        if (db != nullptr) dh += load_n(db + i, n);
        shortcut_sum += vd * vx;
        stream_sum += dh * vx;
        store_n(d + i, dh * f.pass, n);
    });
    if (f.want_stream) sums.stream += double(horizontal_sum(stream_sum));
    if (f.want_shortcut) sums.shortcut += double(f.alpha * f.k) * double(horizontal_sum(shortcut_sum));
}

void add_gate_gradients(const GateGradients& dgate, const Residual& r, const ResidualStream& h, const GateSums* sums,
                        std::int64_t count) {
    GateSums total;
    for (std::int64_t i = 0; i < count; ++i) {
        total.stream += sums[i].stream;
        total.shortcut += sums[i].shortcut;
    }
    add_gate_gradient(dgate.stream, h.gate, total.stream);
    add_gate_gradient(dgate.shortcut, r.shortcut, total.shortcut);
}

// dw += Σ over blocks of partial[block], in block order
void add_partial_rows(Context& context, float* dw, const float* partial, std::int64_t blocks, std::int64_t columns) {
    parallel_blocks(context, columns, 512, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t j = begin; j < end; ++j) {
            double sum = 0.0;
            for (std::int64_t block = 0; block < blocks; ++block) sum += double(partial[block * columns + j]);
            dw[j] += float(sum);
        }
    });
}

// n = norm(h). replay: rstd is read; otherwise it is computed and written.
void normalise(Context& context, Tensor n, Tensor rstd, ResidualStream h, Norm norm, bool replay) {
    const std::int64_t columns = n.columns();
    const float k = factor(h.gate);
    float* statistics = rstd.as<float>();
    visit_float(n.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        const RowBlocks blocks(n.rows());
        parallel_for(context, blocks.count, [&](std::int64_t block) {
            for (std::int64_t t = blocks.begin(block); t < blocks.end(block); ++t) {
                const T* x = h.x.as<T>() + t * columns;
                if (!replay) statistics[t] = row_rstd(x, columns, k, norm.eps);
                row_norm(n.as<T>() + t * columns, x, norm.w.as<T>(), columns, k, statistics[t], norm.scale);
            }
        });
    });
}

}  // namespace

void rmsnorm(Context& context, Tensor n, Tensor rstd, ResidualStream h, Norm norm) {
    normalise(context, n, rstd, h, norm, false);
}

void rmsnorm_replay(Context& context, Tensor n, Tensor rstd, ResidualStream h, Norm norm) {
    normalise(context, n, rstd, h, norm, true);
}

void residual(Context& context, const ResidualArgs& args) {
    const auto& [x2, n, rstd, r, h, b, out, norm] = args;
    const std::int64_t columns = x2.columns();
    const float c = r.alpha * factor(r.shortcut) * factor(h.gate);
    const float k_out = factor(out);
    visit_float(x2.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        const RowBlocks blocks(x2.rows());
        parallel_for(context, blocks.count, [&](std::int64_t block) {
            for (std::int64_t t = blocks.begin(block); t < blocks.end(block); ++t) {
                const T* x = h.x.as<T>() + t * columns;
                const T* branch = b.as<T>() + t * columns;
                T* sum = x2.as<T>() + t * columns;
                for_lanes(columns, [&](std::int64_t i, std::int64_t count) {
                    store_n(sum + i, c * load_n(x + i, count) + load_n(branch + i, count), count);
                });
                if (!n) continue;
                // The norm is computed from the rounded sum, because backward recomputes it from the stored x2 and must
                // get the same bits.
                rstd.as<float>()[t] = row_rstd(sum, columns, k_out, norm.eps);
                row_norm(n.as<T>() + t * columns, sum, norm.w.as<T>(), columns, k_out, rstd.as<float>()[t], norm.scale);
            }
        });
    });
}

void rmsnorm_backward(Context& context, const RmsnormBackwardArgs& args) {
    const auto& [d, dw, dgate, dn, r, h, rstd, norm] = args;
    const Arena::Scope scope(context.scratch());
    const std::int64_t columns = d.columns();
    const RowBlocks blocks(d.rows());
    const BackwardFactors factors = backward_factors(dgate, r, h, norm.scale);
    auto* sums = scratch_array<GateSums>(context, blocks.count);
    float* partial = dw ? scratch_array<float>(context, blocks.count * columns) : nullptr;
    visit_float(d.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        parallel_for(context, blocks.count, [&](std::int64_t block) {
            sums[block] = {};
            float* dw_row = partial != nullptr ? partial + block * columns : nullptr;
            if (dw_row != nullptr) std::fill_n(dw_row, columns, 0.0F);
            for (std::int64_t t = blocks.begin(block); t < blocks.end(block); ++t) {
                const std::int64_t at = t * columns;
                row_norm_backward(d.as<T>() + at, dw_row, sums[block], dn.as<T>() + at, h.x.as<T>() + at,
                                  norm.w.as<T>(), columns, rstd.as<float>()[t], factors);
            }
        });
    });
    if (partial != nullptr) add_partial_rows(context, dw.as<float>(), partial, blocks.count, columns);
    add_gate_gradients(dgate, r, h, sums, blocks.count);
}

void residual_backward(Context& context, const ResidualBackwardArgs& args) {
    const auto& [d, dgate, db, r, h] = args;
    const Arena::Scope scope(context.scratch());
    const std::int64_t columns = d.columns();
    const RowBlocks blocks(d.rows());
    const BackwardFactors factors = backward_factors(dgate, r, h, 1.0F);
    auto* sums = scratch_array<GateSums>(context, blocks.count);
    visit_float(d.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        parallel_for(context, blocks.count, [&](std::int64_t block) {
            sums[block] = {};
            for (std::int64_t t = blocks.begin(block); t < blocks.end(block); ++t) {
                const std::int64_t at = t * columns;
                const T* branch = db ? db.as<T>() + at : nullptr;
                row_residual_backward(d.as<T>() + at, sums[block], branch, h.x.as<T>() + at, columns, factors);
            }
        });
    });
    add_gate_gradients(dgate, r, h, sums, blocks.count);
}

void apply_gate(Context& context, Tensor y, ResidualStream h) {
    const float k = factor(h.gate);
    visit_float(y.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        parallel_blocks(context, y.elements(), flat_block_elements, [&](std::int64_t begin, std::int64_t end) {
            for_lanes(end - begin, [&](std::int64_t i, std::int64_t n) {
                store_n(y.as<T>() + begin + i, k * load_n(h.x.as<T>() + begin + i, n), n);
            });
        });
    });
}

Moments moments(Context& context, ResidualStream h) {
    const Arena::Scope scope(context.scratch());
    const std::int64_t columns = h.x.columns();
    const RowBlocks blocks(h.x.rows());
    const double k = double(factor(h.gate));
    auto* partial = scratch_array<Moments>(context, blocks.count);
    visit_float(h.x.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        parallel_for(context, blocks.count, [&](std::int64_t block) {
            Moments sum;
            for (std::int64_t t = blocks.begin(block); t < blocks.end(block); ++t) {
                Vec first{};
                Vec second{};
                for_lanes(columns, [&](std::int64_t i, std::int64_t n) {
                    const Vec x = load_n(h.x.as<T>() + t * columns + i, n);
                    first += x;
                    second += x * x;
                });
                sum.sum += double(horizontal_sum(first));
                sum.sum_of_squares += double(horizontal_sum(second));
            }
            partial[block] = sum;
        });
    });
    Moments total;
    total.count = h.x.elements();
    for (std::int64_t block = 0; block < blocks.count; ++block) {
        total.sum += k * partial[block].sum;
        total.sum_of_squares += k * k * partial[block].sum_of_squares;
    }
    return total;
}

}  // namespace gpas::cpu
