#include "engine/convert/fold.hpp"

#include "base/error.hpp"
#include "io/config/architecture.hpp"
#include "io/config/enum_names.hpp"
#include "kernels/math.hpp"

#include <cmath>

namespace gpas {
namespace {

void check_folds(const ModelConfig& model) {
    if (!is_pre_norm_only(model.architecture))
        fail(ExitCode::usage,
             "--fold-gates: {} has norms that a plain LLaMA lacks, with or without gates; leave --fold-gates out",
             name_of(model.architecture));
}

class Folding {
public:
    Folding(const ModelConfig& model, const Weights& weights) : model_(model), weights_(weights) {
        for (std::int64_t layer = 0; layer < model.layers; ++layer) {
            layer_ = fmt::format("layers.{}.", layer);
            row_ = residual_row(model, layer);
            site("attention.", "attention.out", model.output_bias);
            site("mlp.", "mlp.down", model.mlp_bias);
        }
        if (c_ < 0.0) factors["final_norm.weight"] = -1.0;
    }
    std::map<std::string, double> factors;

private:
    // output: the layer whose output is added to the stream.
    void site(const char* name, const std::string& output, bool bias) {
        const double norm = row_.norm_scale * (c_ < 0.0 ? -1.0 : 1.0);
        if (norm != 1.0) factors[layer_ + name + "pre_norm.weight"] = norm;
        if (c_ != 1.0) factors[layer_ + output + ".weight"] = 1.0 / c_;
        if (c_ != 1.0 && bias) factors[layer_ + output + ".bias"] = 1.0 / c_;
        c_ *= passed(layer_ + (model_.gate.per_sublayer ? name : "") + "gate");
    }
    // 1 - s(g)
    double passed(const std::string& gate) const {
        if (row_.gate == GatePlace::none) return 1.0;
        const double g = double(weights_(gate).front());
        const double a = 1.0 - gate_value(model_.gate.function, g, model_.gate.scale);
        if (std::abs(a) < 1e-6)
            fail(ExitCode::usage, "--fold-gates: {} lets nothing through (1 - s = {:.3g}): it does not fold", gate, a);
        return a;
    }

    const ModelConfig& model_;
    const Weights& weights_;
    std::string layer_;
    ResidualRow row_;
    double c_ = 1.0;
};

}  // namespace

Fold fold_gates(const ModelConfig& model, const Weights& weights) {
    check_folds(model);
    Fold fold{.model = model, .factors = Folding(model, weights).factors};
    fold.model.architecture = scales_norms(model.architecture) ? Architecture::lns : Architecture::pre;
    fold.model.lns = LnsMode::init;
    fold.model.gate = {};
    return fold;
}

Weights apply(const Fold& fold, Weights weights) {
    return [factors = fold.factors, weights = std::move(weights)](const std::string& parameter) {
        std::vector<float> values = weights(parameter);
        const auto found = factors.find(parameter);
        if (found == factors.end()) return values;
        for (float& value : values) value = float(double(value) * found->second);
        return values;
    };
}

}  // namespace gpas
