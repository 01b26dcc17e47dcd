#include "io/config/architecture.hpp"

#include "base/error.hpp"

#include <cmath>

namespace gpas {
namespace {

ResidualRow post(GatePlace gate) { return {.sum_norm = true, .gate = gate}; }
ResidualRow pre(GatePlace gate) { return {.pre_norm = true, .gate = gate}; }
ResidualRow sandwich(GatePlace gate) { return {.pre_norm = true, .branch_norm = true, .gate = gate}; }
ResidualRow reordered(GatePlace gate) { return {.branch_norm = true, .gate = gate}; }

ResidualRow deepnorm(GatePlace gate, std::int64_t layers) {
    return {.sum_norm = true, .gate = gate, .alpha = std::pow(2.0 * double(layers), 0.25)};
}

ResidualRow layernorm_scaling(GatePlace gate, LnsMode mode, std::int64_t layer) {
    ResidualRow row = pre(gate);
    const double factor = 1.0 / std::sqrt(double(layer + 1));
    (mode == LnsMode::init ? row.norm_init : row.norm_scale) = factor;
    return row;
}

ResidualRow mix(bool gated, const ModelConfig& model, std::int64_t layer) {
    if (layer < post_layers_of_mix(model)) return post(gated ? GatePlace::shortcut : GatePlace::none);
    return pre(gated ? GatePlace::sum : GatePlace::none);
}

ModelConfig default_model(Architecture architecture) {
    ModelConfig model;
    model.architecture = architecture;
    return model;
}

template <class Predicate>
bool any_row(Architecture architecture, Predicate holds) {
    const ModelConfig model = default_model(architecture);
    for (std::int64_t layer = 0; layer < model.layers; ++layer)
        if (holds(residual_row(model, layer))) return true;
    return false;
}

}  // namespace

ResidualRow residual_row(const ModelConfig& model, std::int64_t layer) {
    switch (model.architecture) {
        case Architecture::post: return post(GatePlace::none);
        case Architecture::post_gpas: return post(GatePlace::shortcut);
        case Architecture::deeppost: return deepnorm(GatePlace::none, model.layers);
        case Architecture::deeppost_gpas: return deepnorm(GatePlace::shortcut, model.layers);
        case Architecture::pre: return pre(GatePlace::none);
        case Architecture::pre_gpas: return pre(GatePlace::sum);
        case Architecture::sandwich: return sandwich(GatePlace::none);
        case Architecture::sandwich_gpas: return sandwich(GatePlace::sum);
        case Architecture::reordered: return reordered(GatePlace::none);
        case Architecture::reordered_gpas: return reordered(GatePlace::sum);
        case Architecture::post_pre: return mix(false, model, layer);
        case Architecture::post_pre_gpas: return mix(true, model, layer);
        case Architecture::lns: return layernorm_scaling(GatePlace::none, model.lns, layer);
        case Architecture::lns_gpas: return layernorm_scaling(GatePlace::sum, model.lns, layer);
    }
    fail(ExitCode::internal, "architecture {} has no row", int(model.architecture));
}

std::int64_t post_layers_of_mix(const ModelConfig& model) {
    return model.mix_post_layers >= 0 ? model.mix_post_layers : model.layers / 4;
}

bool has_gates(Architecture architecture) {
    return any_row(architecture, [](const ResidualRow& row) { return row.gate != GatePlace::none; });
}

bool scales_norms(Architecture architecture) {
    ModelConfig init = default_model(architecture), output = init;
    init.lns = LnsMode::init;
    output.lns = LnsMode::output;
    return !(residual_row(init, 1) == residual_row(output, 1));
}

bool mixes_norms(Architecture architecture) {
    ModelConfig none = default_model(architecture), one = none;
    none.mix_post_layers = 0;
    one.mix_post_layers = 1;
    return !(residual_row(none, 0) == residual_row(one, 0));
}

bool is_pre_norm_only(Architecture architecture) {
    return !any_row(architecture, [](const ResidualRow& row) {
        return !row.pre_norm || row.branch_norm || row.sum_norm || row.alpha != 1.0;
    });
}

bool has_deepnorm_init(Architecture architecture) { return architecture == Architecture::deeppost; }

}  // namespace gpas
