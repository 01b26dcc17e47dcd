// Operations on the residual stream (sums, gates, RMSNorm), one kernel each. Gradients of weights and gates are summed
// in residual_sums.cuh. Bound by memory bandwidth: each input [T,C] is read once and each output [T,C] is written once,
// because a row stays in registers between the two passes over it (statistics, then result).
// Measured speed: docs/results/gpu.md.
#include "kernels/backend.hpp"

#include "kernels/cuda/launch_flat.hpp"
#include "kernels/cuda/launch_rows.hpp"
#include "kernels/cuda/limits.hpp"
#include "kernels/cuda/residual_sums.cuh"
#include "kernels/cuda/scratch_sizes.hpp"

#include <algorithm>

namespace gpas::cuda {
namespace {

constexpr std::int64_t rows_per_block = 16;  // of rmsnorm_backward_kernel, until most_row_blocks is reached

// ---- forward --------------------------------------------------------------------------------------------------------

// n = scale · w ⊙ x · factor for the row that this block holds; factor = k · rstd
template <class L>
GPAS_DEVICE void store_normed(typename L::T* n, const Pack<typename L::T, L::V>* row, const typename L::T* w,
                              int columns, float factor, float scale) {
    using T = typename L::T;
    for_row_packs<L>(columns, [&](int p, int column) {
        const auto weight = load_pack<L::V>(w + column);
        Pack<T, L::V> out;
        unrolled<L::V>(
            [&](int v) { out.v[v] = from_float<T>(to_float(weight.v[v]) * scale * (to_float(row[p].v[v]) * factor)); });
        store_pack(n + column, out);
    });
}

// One block per row. replay: rstd is read; otherwise it is computed and written.
template <class L>
GPAS_KERNEL GPAS_MOST_THREADS(row_threads)
    rmsnorm_kernel(typename L::T* n, float* rstd, const typename L::T* x, Gate gate, const typename L::T* w,
                   int columns, float eps, float scale, bool replay) {
    using T = typename L::T;
    SHARED_ARRAY(float, parts, warp_size);
    const std::int64_t row = blockIdx.x;
    const std::int64_t at = row * columns;
    const float k = gate_factor(gate);
    Pack<T, L::V> in[L::PACKS];
    float squares = 0.0F;
    for_row_packs<L>(columns, [&](int p, int column) {
        in[p] = load_pack<L::V>(x + at + column);
        unrolled<L::V>([&](int v) {
            const float h = k * to_float(in[p].v[v]);
            squares += h * h;
        });
    });
    float r;
    if (replay) {
        r = rstd[row];
    } else {
        r = rsqrtf(block_sum(squares, parts) / float(columns) + eps);
        if (threadIdx.x == 0) rstd[row] = r;
    }
    store_normed<L>(n + at, in, w, columns, k * r, scale);
}

// x2 = c x + b rounded to T, c = alpha · k_shortcut · k. WITH_NORM: n = norm(k_out x2) of the rounded x2, because
// backward recomputes n from the stored x2. One block per row.
template <class L, bool WITH_NORM>
GPAS_KERNEL GPAS_MOST_THREADS(row_threads)
    residual_kernel(typename L::T* x2, typename L::T* n, float* rstd, Residual r, ResidualStream h,
                    const typename L::T* b, Gate out, const typename L::T* w, int columns, float eps, float scale) {
    using T = typename L::T;
    SHARED_ARRAY(float, parts, warp_size);
    const std::int64_t at = std::int64_t(blockIdx.x) * columns;
    const T* x = static_cast<const T*>(h.x.data) + at;
    const float c = r.alpha * gate_factor(r.shortcut) * gate_factor(h.gate);
    const float k_out = gate_factor(out);
    Pack<T, L::V> sum[L::PACKS];
    float squares = 0.0F;
    for_row_packs<L>(columns, [&](int p, int column) {
        const auto vx = load_pack<L::V>(x + column);
        const auto vb = load_pack<L::V>(b + at + column);
        unrolled<L::V>([&](int v) {
            sum[p].v[v] = from_float<T>(c * to_float(vx.v[v]) + to_float(vb.v[v]));
            const float stored = k_out * to_float(sum[p].v[v]);
            squares += stored * stored;
        });
        store_pack(x2 + at + column, sum[p]);
    });
    if (!WITH_NORM) return;
    const float s = rsqrtf(block_sum(squares, parts) / float(columns) + eps);
    if (threadIdx.x == 0) rstd[blockIdx.x] = s;
    store_normed<L>(n + at, sum, w, columns, k_out * s, scale);
}

// ---- backward -------------------------------------------------------------------------------------------------------

// n = scale · w h rstd  ⇒  dh = rstd (g - h rstd² mean(g h)) with g = scale · w dn, h = k x.
// A block processes rows block, block + blocks, …. A thread has the same columns of every row, so it sums the weight
// gradient of its columns in registers.
template <class L>
GPAS_KERNEL GPAS_MOST_THREADS(row_threads)
    rmsnorm_backward_kernel(typename L::T* d, Partials out, const typename L::T* dn, Residual r, ResidualStream h,
                            const float* rstd, const typename L::T* w, std::int64_t rows, int columns, float scale) {
    using T = typename L::T;
    SHARED_ARRAY(float, parts, 2 * warp_size);
    SHARED_ARRAY(double, gate_parts, warp_size);
    const T* x = static_cast<const T*>(h.x.data);
    const float k = gate_factor(h.gate);
    const float pass = gate_pass(h.gate);
    const float through = r.alpha * gate_pass(r.shortcut);
    GateSums sums;
    float dw[L::PACKS][L::V] = {};
    int turn = 0;
    for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x, turn ^= 1) {
        const std::int64_t at = row * columns;
        Pack<T, L::V> vx[L::PACKS] = {};
        Pack<T, L::V> vdn[L::PACKS] = {};
        float dot = 0.0F;
        for_row_packs<L>(columns, [&](int p, int column) {
            vx[p] = load_pack<L::V>(x + at + column);
            vdn[p] = load_pack<L::V>(dn + at + column);
            const auto vw = load_pack<L::V>(w + column);
            unrolled<L::V>([&](int v) { dot += to_float(vdn[p].v[v]) * to_float(vw.v[v]) * to_float(vx[p].v[v]); });
        });
        const float s = rstd[row];
        const float mean = block_sum(dot, parts + turn * warp_size) * scale * k / float(columns);
        const float pull = s * s * s * mean * k;
        const float push = s * scale;
        for_row_packs<L>(columns, [&](int p, int column) {
            const auto vw = load_pack<L::V>(w + column);
            Pack<T, L::V> vd = {};
            if (r.alpha != 0.0F) vd = load_pack<L::V>(d + at + column);
            unrolled<L::V>([&](int v) {
                const float xv = to_float(vx[p].v[v]);
                const float dnv = to_float(vdn[p].v[v]);
                float dh = push * (to_float(vw.v[v]) * dnv) - pull * xv;
                if (r.alpha != 0.0F) {
                    dh += through * to_float(vd.v[v]);
                    sums.shortcut += to_float(vd.v[v]) * xv;
                }
                dw[p][v] += push * k * (dnv * xv);
                sums.stream += dh * xv;
                vd.v[v] = from_float<T>(dh * pass);
            });
            store_pack(d + at + column, vd);
        });
    }
    if (out.dw != nullptr)
        for_row_packs<L>(columns, [&](int p, int column) {
            for (int v = 0; v < L::V; ++v) out.dw[std::int64_t(blockIdx.x) * columns + column + v] = dw[p][v];
        });
    if (out.gates != nullptr) store_gate_sums(out, sums, r.alpha * k, gate_parts);
}

// d = pass · (through · d + db) for all elements.
template <class T, int V>
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads)
    residual_backward_kernel(T* d, Partials out, const T* db, Residual r, ResidualStream h, std::int64_t elements) {
    SHARED_ARRAY(double, gate_parts, warp_size);
    const T* x = static_cast<const T*>(h.x.data);
    const float pass = gate_pass(h.gate);
    const float through = r.alpha * gate_pass(r.shortcut);
    GateSums sums;
    const std::int64_t step = std::int64_t(gridDim.x) * blockDim.x * V;
    for (std::int64_t i = flat_index(V); i < elements; i += step) {
        auto vd = load_pack<V>(d + i);
        const auto vx = load_pack<V>(x + i);
        Pack<T, V> vdb = {};
        if (db != nullptr) vdb = load_pack<V>(db + i);
        unrolled<V>([&](int v) {
            const float xv = to_float(vx.v[v]);
            float dh = through * to_float(vd.v[v]);
            if (db != nullptr) dh += to_float(vdb.v[v]);
            sums.shortcut += to_float(vd.v[v]) * xv;
            sums.stream += dh * xv;
            vd.v[v] = from_float<T>(dh * pass);
        });
        store_pack(d + i, vd);
    }
    if (out.gates != nullptr) store_gate_sums(out, sums, r.alpha * gate_factor(h.gate), gate_parts);
}

// ---- elementwise ----------------------------------------------------------------------------------------------------

template <class T, int V>
GPAS_KERNEL GPAS_MOST_THREADS(flat_threads) apply_gate_kernel(T* y, ResidualStream h, std::int64_t elements) {
    const T* x = static_cast<const T*>(h.x.data);
    const float k = gate_factor(h.gate);
    const std::int64_t i = flat_index(V);
    if (i >= elements) return;
    auto pack = load_pack<V>(x + i);
    unrolled<V>([&](int v) { pack.v[v] = from_float<T>(k * to_float(pack.v[v])); });
    store_pack(y + i, pack);
}

std::int64_t blocks_for_rows(std::int64_t rows) {
    return std::clamp<std::int64_t>((rows + rows_per_block - 1) / rows_per_block, 1, most_row_blocks);
}

// n = norm(h). replay: rstd is read; otherwise it is computed and written.
void normalise(Context& context, Tensor n, Tensor rstd, ResidualStream h, Norm norm, bool replay) {
    const std::int64_t columns = n.columns();
    if (n.rows() == 0) return;
    visit_row_layout(n.dtype, columns, aligned_16({n.data, h.x.data, norm.w.data}), [&](auto layout) {
        using L = decltype(layout);
        using T = typename L::T;
        launch(context.gpu(), {.grid = unsigned(n.rows()), .threads = threads_for_row<L>(columns)}, rmsnorm_kernel<L>,
               n.as<T>(), rstd.as<float>(), h.x.as<T>(), h.gate, norm.w.as<T>(), int(columns), norm.eps, norm.scale,
               replay);
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
    if (x2.rows() == 0) return;
    const bool aligned = aligned_16({x2.data, n.data, h.x.data, b.data, norm.w.data});
    visit_row_layout(x2.dtype, columns, aligned, [&](auto layout) {
        using L = decltype(layout);
        using T = typename L::T;
        launch(context.gpu(), {.grid = unsigned(x2.rows()), .threads = threads_for_row<L>(columns)},
               n ? residual_kernel<L, true> : residual_kernel<L, false>, x2.as<T>(), n ? n.as<T>() : nullptr,
               n ? rstd.as<float>() : nullptr, r, h, b.as<T>(), out, n ? norm.w.as<T>() : nullptr, int(columns),
               norm.eps, norm.scale);
    });
}

void rmsnorm_backward(Context& context, const RmsnormBackwardArgs& args) {
    const auto& [d, dw, dgate, dn, r, h, rstd, norm] = args;
    const std::int64_t columns = d.columns();
    const std::int64_t rows = d.rows();
    if (rows == 0) return;
    const Arena::Scope scope(context.scratch());
    const std::int64_t blocks = blocks_for_rows(rows);
    const Partials parts = partials(context, blocks, dw ? columns : 0, dgate);
    const bool aligned = aligned_16({d.data, dn.data, h.x.data, norm.w.data});
    visit_row_layout(d.dtype, columns, aligned, [&](auto layout) {
        using L = decltype(layout);
        using T = typename L::T;
        launch(context.gpu(), {.grid = unsigned(blocks), .threads = threads_for_row<L>(columns)},
               rmsnorm_backward_kernel<L>, d.as<T>(), parts, dn.as<T>(), r, h, rstd.as<float>(), norm.w.as<T>(), rows,
               int(columns), norm.scale);
    });
    finish_sums(context, dw, dgate, parts, blocks, h.gate, r.shortcut);
}

void residual_backward(Context& context, const ResidualBackwardArgs& args) {
    const auto& [d, dgate, db, r, h] = args;
    const std::int64_t elements = d.elements();
    if (elements == 0) return;
    const Arena::Scope scope(context.scratch());
    visit_flat(d, aligned_16({d.data, db.data, h.x.data}), [&](auto zero, auto v) {
        using T = decltype(zero);
        const std::int64_t blocks = blocks_for_elements(elements, v);
        const Partials parts = partials(context, blocks, 0, dgate);
        launch(context.gpu(), {.grid = unsigned(blocks), .threads = flat_threads}, residual_backward_kernel<T, v()>,
               d.as<T>(), parts, db ? db.as<T>() : nullptr, r, h, elements);
        finish_sums(context, {}, dgate, parts, blocks, h.gate, r.shortcut);
    });
}

void apply_gate(Context& context, Tensor y, ResidualStream h) {
    const std::int64_t elements = y.elements();
    if (elements == 0) return;
    visit_flat(y, aligned_16({y.data, h.x.data}), [&](auto zero, auto v) {
        using T = decltype(zero);
        launch(context.gpu(), {.grid = blocks_of(elements, v), .threads = flat_threads}, apply_gate_kernel<T, v()>,
               y.as<T>(), h, elements);
    });
}

std::int64_t widest_row(Dtype dtype, std::int64_t columns) {
    const std::int64_t in_pack = 16 / bytes_per_element(dtype);
    return columns % in_pack == 0 ? row_threads * most_packs * in_pack : row_threads * most_single_elements;
}

}  // namespace gpas::cuda
