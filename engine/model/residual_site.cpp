#include "engine/model/residual_site.hpp"

#include "base/error.hpp"

namespace gpas {
namespace {

Gate gate_of(const ModelConfig& model, const Tensor& g) {
    return {.g = g.as<const float>(),
            .function = model.gate.function,
            .scale = float(model.gate.scale),
            .stop_gradient = model.gate.stop_gradient};
}

// Backward of n = N(x), with neither gate nor shortcut: dx = Jᵀ dn, and N's dw +=. dx may be dn.
void plain_norm_backward(Context& context, Tensor dx, Tensor dn, Tensor x, const SavedNorm& saved) {
    rmsnorm_backward(context, {.d = dx,
                               .dw = saved.dw,
                               .dn = dn,
                               .r = {.alpha = 0.0F},
                               .h = {.x = x},
                               .rstd = saved.rstd,
                               .norm = saved.norm});
}

}  // namespace

SavedNorm saved_norm(const ModelConfig& model, const std::string& name, ParameterStore& store, std::int64_t tokens,
                     Arena& arena) {
    const std::size_t i = store.index_of(name);
    return {.norm = {.w = store.compute(i), .eps = float(model.norm_eps)},
            .dw = store.gradient(i),
            .rstd = arena.allocate(Dtype::fp32, {tokens})};
}

ResidualSite::ResidualSite(const ModelConfig& model, std::int64_t layer, const std::string& prefix,
                           const ModelShape& shape, ParameterStore& store, const SiteArenas& arenas)
    : row_(residual_row(model, layer)) {
    const std::int64_t rows = shape.rows();
    const auto stream = [&](Arena& arena) { return arena.allocate(shape.dtype, {rows, model.hidden_size}); };
    if (row_.pre_norm) {
        pre_ = saved_norm(model, prefix + "pre_norm.weight", store, rows, arenas.inner);
        pre_.norm.scale = float(row_.norm_scale);
    }
    if (row_.branch_norm) {
        branch_norm_ = saved_norm(model, prefix + "branch_norm.weight", store, rows, arenas.inner);
        branch_ = stream(arenas.inner);
    }
    if (row_.sum_norm) {
        sum_ = saved_norm(model, prefix + "sum_norm.weight", store, rows, arenas.inner);
        normed_sum_ = stream(arenas.output);
    }
    x2_ = stream(row_.sum_norm ? arenas.inner : arenas.output);
    if (row_.gate == GatePlace::none) return;
    const std::size_t i =
        store.index_of(model.gate.per_sublayer ? prefix + "gate" : fmt::format("layers.{}.gate", layer));
    (row_.gate == GatePlace::sum ? sum_gate_ : shortcut_) = gate_of(model, store.master(i));
    const Tensor dg = store.gradient(i);
    if (dg && store.specs()[i].trainable) dgate_ = dg.as<float>();
}

Tensor ResidualSite::enter(const LayerContext& shared, const Handover& before) {
    input_ = before.h;
    const ResidualStream& stream = input_.stream;
    if (!row_.pre_norm) return stream_itself(shared);
    if (before.normed) return before.normed;
    const Tensor n = now(shared.work.normed);
    rmsnorm(shared.context, n, now(pre_.rstd), stream, pre_.norm);
    return n;
}

Tensor ResidualSite::stream_itself(const LayerContext& shared) {
    if (!input_.stream.gate) return input_.stream.x;
    const Tensor h = now(shared.work.normed);
    apply_gate(shared.context, h, input_.stream);
    return h;
}

Handover ResidualSite::leave(const LayerContext& shared, const SavedNorm* next) {
    const auto& [context, group, work] = shared;
    const Tensor b = now(work.branch), x2 = now(x2_);
    if (row_.branch_norm) rmsnorm(context, b, now(branch_norm_.rstd), {now(branch_), {}}, branch_norm_.norm);
    if (row_.sum_norm) {
        const Tensor normed_sum = now(normed_sum_);
        residual(context, {.x2 = x2,
                           .n = normed_sum,
                           .rstd = now(sum_.rstd),
                           .r = residual_terms(),
                           .h = input_.stream,
                           .b = b,
                           .norm = sum_.norm});
        output_ = {.stream = {.x = normed_sum}};
        return {.h = output_};
    }
    output_ = {.stream = {.x = x2, .gate = sum_gate_}, .dgate = sum_gate_ ? dgate_ : nullptr};
    if (next == nullptr) {
        residual(context, {.x2 = x2, .r = residual_terms(), .h = input_.stream, .b = b});
        return {.h = output_};
    }
    const Tensor n = now(work.normed);
    residual(context, {.x2 = x2,
                       .n = n,
                       .rstd = now(next->rstd),
                       .r = residual_terms(),
                       .h = input_.stream,
                       .b = b,
                       .out = sum_gate_,
                       .norm = next->norm});
    return {.h = output_, .normed = n};
}

Tensor ResidualSite::backward_leave(const LayerContext& shared, Tensor d) {
    const auto& [context, group, work] = shared;
    if (row_.sum_norm)  // h = N(x2)
        plain_norm_backward(context, d, d, x2_, sum_);
    if (!row_.branch_norm) return d;
    // b = N₂(branch)
    plain_norm_backward(context, work.branch, d, branch_, branch_norm_);
    return work.branch;
}

Tensor ResidualSite::replay_input(const LayerContext& shared) {
    if (!row_.pre_norm) return stream_itself(shared);
    rmsnorm_replay(shared.context, shared.work.normed, pre_.rstd, input_.stream, pre_.norm);
    return shared.work.normed;
}

void ResidualSite::backward_enter(Context& context, Tensor d, Tensor dinput) {
    const GateGradients dgate{.stream = input_.dgate, .shortcut = shortcut_ ? dgate_ : nullptr};
    if (row_.pre_norm)  // n = N(h), x2 = alpha h + b
        rmsnorm_backward(context, {.d = d,
                                   .dw = pre_.dw,
                                   .dgate = dgate,
                                   .dn = dinput,
                                   .r = residual_terms(),
                                   .h = input_.stream,
                                   .rstd = pre_.rstd,
                                   .norm = pre_.norm});
    else  // x2 = alpha G(h) + F(h)
        residual_backward(context, {.d = d, .dgate = dgate, .db = dinput, .r = residual_terms(), .h = input_.stream});
}

}  // namespace gpas
