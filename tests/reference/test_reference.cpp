// The reference's gradients are the derivatives of the surrogate loss in which every stop-gradient operand keeps the
// value it had at the base point (GPAS.md): checked for every element of every parameter, for every row.
#include "tests/reference/model.hpp"
#include "tests/support/models.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace gpas {
namespace {

using reference::Operands;
using testing_models::all_architectures;

// Richardson's extrapolation of two central differences: the error is O(step⁴), and rounding of the loss over the step.
double derivative(reference::Model& model, const reference::Rows& rows, double& weight, Operands operands) {
    const double base = weight;
    const double step = 2e-5;
    const auto central = [&](double h) {
        weight = base + h;
        const double up = model.loss(rows, operands);
        weight = base - h;
        const double down = model.loss(rows, operands);
        weight = base;
        return (up - down) / (2.0 * h);
    };
    return (4.0 * central(step / 2) - central(step)) / 3.0;
}

// Largest relative difference, tensor by tensor (L2), between gradients and differences.
double worst_tensor(const ModelConfig& config, Operands operands, std::string* where = nullptr) {
    reference::Model model = testing_models::reference_model(config);
    const reference::Rows rows = testing_models::test_rows(config, 2, 5, true);
    model.loss_and_gradients(rows);
    const auto gradients = model.gradients;
    double largest = 0.0;
    for (const auto& [name, gradient] : gradients) largest = std::max(largest, std::abs(gradient[0]));
    double worst = 0.0;
    for (auto& [name, weights] : model.weights) {
        const reference::Vec& gradient = gradients.at(name);
        double difference = 0.0;
        double size = 0.0;
        for (std::size_t i = 0; i < weights.size(); ++i) {
            const double d = derivative(model, rows, weights[i], operands) - gradient[i];
            difference += d * d;
            size += gradient[i] * gradient[i];
        }
        // A tensor whose true gradient vanishes (see the last gate) is compared with the loss, not with itself.
        const double relative = std::sqrt(difference) / std::max(std::sqrt(size), 1e-3);
        if (relative > worst && where != nullptr) *where = name;
        worst = std::max(worst, relative);
    }
    return worst;
}

// A quarter of the parameters, since each costs four forward passes.
ModelConfig tiny_model(Architecture architecture) {
    ModelConfig model = testing_models::small_model(architecture);
    model.vocab_size = 11;
    model.hidden_size = 8;
    model.ffn_size = 5;
    model.head_dim = 2;
    return model;
}

struct Variant {
    std::string name;
    std::function<void(ModelConfig&)> change;
};

const std::vector<Variant>& variants() {
    static const std::vector<Variant> all{
        {"shared gate, grouped queries, own head", [](ModelConfig&) {}},
        {"gate of each sub-layer, no grouped queries, tied head",
         [](ModelConfig& m) {
             m.gate.per_sublayer = m.tied_embeddings = true;
             m.kv_heads = 0;
         }},
        {"sliding window", [](ModelConfig& m) { m.sliding_window = 2; }},
    };
    return all;
}

TEST(Reference, gradients_of_every_row_are_those_of_the_frozen_surrogate) {
    for (const Architecture architecture : all_architectures())
        for (const Variant& variant : variants()) {
            ModelConfig config = tiny_model(architecture);
            variant.change(config);
            std::string where;
            EXPECT_LT(worst_tensor(config, Operands::frozen, &where), 1e-6)
                << "row " << int(architecture) << ", " << variant.name << ", " << where;
        }
}

TEST(Reference, biases_and_norms_of_queries_and_keys_have_right_gradients) {
    for (const Architecture architecture : {Architecture::pre_gpas, Architecture::post_gpas, Architecture::sandwich})
        for (const ModelConfig& config : testing_models::with_biases_and_qk_norms(tiny_model(architecture))) {
            std::string where;
            EXPECT_LT(worst_tensor(config, Operands::frozen, &where), 1e-6)
                << "row " << int(architecture) << ", qk_norm " << int(config.qk_norm) << ", " << where;
        }
}

TEST(Reference, every_gate_function_and_the_scaled_output_of_lns_have_right_gradients) {
    for (const GateFunction function :
         {GateFunction::identity, GateFunction::relu, GateFunction::tanh, GateFunction::leaky_relu,
          GateFunction::scaled_silu, GateFunction::scale_silu}) {
        ModelConfig config = tiny_model(Architecture::lns_gpas);
        config.lns = LnsMode::output;
        config.gate.function = function;
        config.gate.scale = 0.3;
        EXPECT_LT(worst_tensor(config, Operands::frozen), 1e-6) << "gate function " << int(function);
    }
}

TEST(Reference, without_stop_gradient_the_plain_derivative_is_meant) {
    for (const Architecture architecture :
         {Architecture::pre_gpas, Architecture::post_gpas, Architecture::deeppost_gpas}) {
        ModelConfig config = tiny_model(architecture);
        config.gate.stop_gradient = false;
        EXPECT_LT(worst_tensor(config, Operands::live), 1e-6) << int(architecture);
    }
}

TEST(Reference, plain_differences_disagree_with_gpas_by_design) {
    EXPECT_GT(worst_tensor(tiny_model(Architecture::pre_gpas), Operands::live), 1e-2);
}

// The final norm removes the scale that the last gate puts on the stream, up to its eps.
TEST(Reference, the_last_gate_of_the_mlp_has_no_gradient_but_for_eps) {
    ModelConfig config = tiny_model(Architecture::pre_gpas);
    config.gate.per_sublayer = true;
    config.norm_eps = 0.0;
    reference::Model model = testing_models::reference_model(config);
    model.loss_and_gradients(testing_models::test_rows(config, 2, 5, false));
    EXPECT_LT(std::abs(model.gradients.at("layers.2.mlp.gate")[0]), 1e-12);
    EXPECT_GT(std::abs(model.gradients.at("layers.2.attention.gate")[0]), 1e-4);
}

}  // namespace
}  // namespace gpas
