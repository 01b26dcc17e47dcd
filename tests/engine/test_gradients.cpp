// The engine's loss and gradients against the double-precision reference, for every row of the architecture table.
#include "tests/support/models.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>

namespace gpas {
namespace {

using namespace testing_models;

TestReplica test_replica(const ModelConfig& config, Dtype dtype, int threads) {
    return {config, {.batch = 2, .sequence = 9, .dtype = dtype}, threads};
}

// Relative to the tensor (L2); for a gate, whose gradient is a sum that cancels, to the sum of its terms' sizes.
double error_of(Replica& replica, std::size_t i, const reference::Model& reference, const reference::Vec& expected) {
    const std::vector<float> engine = gradient_of(replica, i);
    const auto terms = reference.gate_term_sums.find(replica.store.specs()[i].name);
    if (terms == reference.gate_term_sums.end()) return relative_difference(engine, expected, expected.size());
    return std::abs(double(engine[0]) - expected[0]) / terms->second;
}

void for_every_variant(const std::function<void(const ModelConfig&, const std::string&)>& check) {
    for (const Architecture architecture : all_architectures()) {
        ModelConfig config = small_model(architecture);
        const std::string row = "row " + std::to_string(int(architecture));
        check(config, row);
        config.gate.per_sublayer = true;
        config.tied_embeddings = true;
        check(config, row + ", gate of each sub-layer, tied head");
        config.kv_heads = 0;
        config.gate.per_sublayer = false;
        config.lns = LnsMode::output;
        check(config, row + ", no grouped queries, lns: output");
    }
    for (const Architecture architecture : {Architecture::pre_gpas, Architecture::post_gpas, Architecture::sandwich})
        for (const ModelConfig& config : with_biases_and_qk_norms(small_model(architecture)))
            check(config, fmt::format("row {}, biases, qk_norm {}", int(architecture), int(config.qk_norm)));
    ModelConfig config = small_model(Architecture::pre_gpas);
    config.gate.stop_gradient = false;
    check(config, "without stop-gradient");
    for (const std::int64_t sliding : {1, 2, 5, 8, 9}) {
        config = small_model(sliding == 5 ? Architecture::post_gpas : Architecture::pre_gpas);
        config.sliding_window = sliding;
        check(config, "window of " + std::to_string(sliding));
    }
    config = small_model(Architecture::post_gpas);
    config.gate.stop_gradient = false;
    config.gate.function = GateFunction::tanh;
    check(config, "post_gpas without stop-gradient, tanh");
}

double to_fp32(double x) { return double(float(x)); }
double to_bf16(double x) { return double(float(bf16(float(x)))); }

// The bound is what rounding every stored value to the dtype does to the reference itself, tensor by tensor: the engine
// may be off by `factor` times that.
void expect_errors_of_rounding(const ModelConfig& config, Dtype dtype, double factor, const std::string& name) {
    reference::Rows rows = test_rows(config, 2, 9, true);
    reference::Model exact = reference_model(config);
    const double loss = exact.loss_and_gradients(rows);
    reference::Model rounded = reference_model(config);
    rounded.round = dtype == Dtype::bf16 ? to_bf16 : to_fp32;
    const double rounded_loss = rounded.loss_and_gradients(rows);

    double typical = 0.0;  // over all tensors: one tensor's error may be small by luck
    double tensors = 0.0;
    for (const auto& [tensor, gradient] : exact.gradients) {
        if (gradient.size() == 1) continue;
        typical += relative_difference(rounded.gradients.at(tensor), gradient, gradient.size());
        tensors += 1.0;
    }
    typical /= tensors;

    auto replica = test_replica(config, dtype, 2);
    fill(replica->context, replica->store.all_gradients(), 0.0F);
    const double engine_loss = replica->loss_and_backward(rows_of(rows), 1.0F);
    EXPECT_LT(std::abs(engine_loss - loss), factor * std::max(std::abs(rounded_loss - loss), typical * loss)) << name;
    for (std::size_t i = 0; i < replica->store.specs().size(); ++i) {
        const ParameterSpec& spec = replica->store.specs()[i];
        const reference::Vec& expected = exact.gradients.at(spec.name);
        const double own = spec.kind == ParameterKind::gate
                               ? 0.0
                               : relative_difference(rounded.gradients.at(spec.name), expected, expected.size());
        EXPECT_LT(error_of(*replica, i, exact, expected), factor * std::max(own, typical)) << name << ": " << spec.name;
    }
}

TEST(Gradients, fp32_agrees_with_the_reference_for_every_row) {
    // More than in bf16: here the sums inside an operation round no finer than what is stored. The longest have 23
    // terms, so about √23 roundings of either sign, twice that to be sure.
    for_every_variant([](const ModelConfig& config, const std::string& name) {
        expect_errors_of_rounding(config, Dtype::fp32, 2.0 * std::sqrt(23.0), name);
    });
}

TEST(Gradients, bf16_is_off_by_no_more_than_bf16_rounding_of_the_reference) {
    for_every_variant([](const ModelConfig& config, const std::string& name) {
        expect_errors_of_rounding(config, Dtype::bf16, 3.0, name);
    });
}

// Weights, loss and gradients of a run with `threads` threads.
std::vector<float> all_gradients(const ModelConfig& config, Dtype dtype, int threads, double& loss) {
    reference::Rows rows = test_rows(config, 2, 9, true);
    auto replica = test_replica(config, dtype, threads);
    fill(replica->context, replica->store.all_gradients(), 0.0F);
    loss = replica->loss_and_backward(rows_of(rows), 1.0F);
    return values_of(*replica, replica->store.all_gradients());
}

TEST(Gradients, any_number_of_threads_gives_the_same_bits) {
    for (const Dtype dtype : {Dtype::fp32, Dtype::bf16}) {
        std::vector<ModelConfig> configs = with_biases_and_qk_norms(small_model(Architecture::pre_gpas));
        for (const Architecture architecture : all_architectures()) configs.push_back(small_model(architecture));
        for (const ModelConfig& config : configs) {
            double loss = 0.0;
            const std::vector<float> one = all_gradients(config, dtype, 1, loss);
            for (int threads = 2; threads <= 4; ++threads) {
                double other_loss = 0.0;
                EXPECT_EQ(all_gradients(config, dtype, threads, other_loss), one)
                    << int(config.architecture) << ", " << int(config.qk_norm) << ", " << threads;
                EXPECT_EQ(other_loss, loss);
            }
        }
    }
}

TEST(Gradients, add_up_over_micro_batches) {
    const ModelConfig config = small_model(Architecture::sandwich_gpas);
    auto replica = test_replica(config, Dtype::fp32, 2);
    reference::Rows rows = test_rows(config, 2, 9, true);
    fill(replica->context, replica->store.all_gradients(), 0.0F);
    replica->loss_and_backward(rows_of(rows), 1.0F);
    std::vector<float> doubled = values_of(*replica, replica->store.all_gradients());
    for (float& g : doubled) g *= 2.0F;
    replica->loss_and_backward(rows_of(rows), 1.0F);
    const std::vector<float> twice = values_of(*replica, replica->store.all_gradients());
    // One more rounding of each sum, of at most two thirds of a unit.
    EXPECT_LT(relative_difference(twice, doubled, twice.size()), 2.0 / (1 << 24));
}

TEST(Gradients, forward_alone_gives_the_loss_of_the_training_pass) {
    const ModelConfig config = small_model(Architecture::pre_gpas);
    auto replica = test_replica(config, Dtype::fp32, 2);
    reference::Rows rows = test_rows(config, 2, 9, false);
    const double forward = replica->loss(rows_of(rows));
    EXPECT_EQ(forward, replica->loss_and_backward(rows_of(rows), 1.0F));
}

TEST(Model, reports_the_variances_of_the_residual_stream) {
    for (const Architecture architecture : all_architectures()) {
        const ModelConfig config = small_model(architecture);
        auto replica = test_replica(config, Dtype::fp32, 2);
        reference::Rows rows = test_rows(config, 2, 9, true);
        reference::Model reference = reference_model(config);
        reference.loss(rows);
        std::vector<Moments> moments;
        replica->loss(rows_of(rows), &moments);
        ASSERT_EQ(moments.size(), reference.stream_variances().size());
        for (std::size_t i = 0; i < moments.size(); ++i)
            // An average over the stream of errors that are a few roundings each.
            EXPECT_NEAR(moments[i].variance() / reference.stream_variances()[i], 1.0, 32.0 / (1 << 24))
                << int(architecture);
    }
}

}  // namespace
}  // namespace gpas
