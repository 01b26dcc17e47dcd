#include "engine/model/architecture.hpp"

#include "base/error.hpp"

#include <cmath>

namespace gpas {
namespace {

ResidualRow post(GatePlace gate) { return {.sum_norm = true, .gate = gate}; }
ResidualRow pre(GatePlace gate) { return {.pre_norm = true, .gate = gate}; }
ResidualRow sandwich(GatePlace gate) { return {.pre_norm = true, .branch_norm = true, .gate = gate}; }

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
    const std::int64_t post_layers = model.mix_post_layers >= 0 ? model.mix_post_layers : model.layers / 4;
    if (layer < post_layers) return post(gated ? GatePlace::shortcut : GatePlace::none);
    return pre(gated ? GatePlace::sum : GatePlace::none);
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
        case Architecture::post_pre: return mix(false, model, layer);
        case Architecture::post_pre_gpas: return mix(true, model, layer);
        case Architecture::lns: return layernorm_scaling(GatePlace::none, model.lns, layer);
        case Architecture::lns_gpas: return layernorm_scaling(GatePlace::sum, model.lns, layer);
    }
    fail(ExitCode::internal, "architecture {} has no row", int(model.architecture));
}

bool has_gates(Architecture architecture) {
    ModelConfig model;
    model.architecture = architecture;
    return residual_row(model, model.layers - 1).gate != GatePlace::none;
}

}  // namespace gpas
