// The table of architectures, the list of parameters and their initial values against GPAS.md.
#include "engine/model/parameters.hpp"
#include "engine/step/replica.hpp"
#include "io/config/architecture.hpp"
#include "tests/support/models.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace gpas {
namespace {

using testing_models::all_architectures;

ModelConfig model_71m(Architecture architecture) {
    ModelConfig model;
    model.architecture = architecture;
    return model;
}

TEST(Architecture, only_the_gated_rows_have_gates) {
    for (const Architecture a : all_architectures()) {
        bool found = false;
        for (const ParameterSpec& spec : parameter_specs(model_71m(a), {}))
            found = found || spec.kind == ParameterKind::gate;
        EXPECT_EQ(found, has_gates(a)) << int(a);
    }
}

TEST(Parameters, have_the_names_and_shapes_that_files_hold) {
    ModelConfig model = testing_models::small_model(Architecture::sandwich_gpas);
    const std::vector<ParameterSpec> specs = parameter_specs(model, {});
    std::set<std::string> names;
    for (const ParameterSpec& spec : specs) EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
    const auto find = [&](const std::string& name) {
        for (const ParameterSpec& spec : specs)
            if (spec.name == name) return spec;
        ADD_FAILURE() << name;
        return ParameterSpec{};
    };
    using Shape = std::vector<std::int64_t>;
    EXPECT_EQ(find("embedding.weight").shape, (Shape{23, 12}));
    EXPECT_EQ(find("layers.1.attention.qkv.weight").shape, (Shape{2, 4, 6, 12}));
    EXPECT_EQ(find("layers.1.attention.out.weight").shape, (Shape{12, 24}));
    EXPECT_EQ(find("layers.1.mlp.gate_up.weight").shape, (Shape{2, 7, 12}));
    EXPECT_EQ(find("layers.1.mlp.down.weight").shape, (Shape{12, 7}));
    EXPECT_EQ(find("layers.1.mlp.branch_norm.weight").shape, (Shape{12}));
    EXPECT_EQ(find("layers.2.gate").shape, (Shape{1}));
    EXPECT_EQ(find("head.weight").shape, (Shape{23, 12}));
    EXPECT_EQ(find("final_norm.weight").layer, model.layers);
    model.gate.per_sublayer = model.tied_embeddings = true;
    std::set<std::string> other;
    for (const ParameterSpec& spec : parameter_specs(model, {})) other.insert(spec.name);
    EXPECT_TRUE(other.contains("layers.0.attention.gate") && other.contains("layers.0.mlp.gate"));
    EXPECT_FALSE(other.contains("layers.0.gate") || other.contains("head.weight"));
}

TEST(Parameters, of_biases_and_qk_norm_have_the_shapes_that_files_hold_and_are_not_decayed) {
    using Shape = std::vector<std::int64_t>;
    OptimizerConfig optimizer;
    optimizer.decay_norms = true;
    const auto shapes = [&](const ModelConfig& model) {
        std::map<std::string, Shape> found;
        for (const ParameterSpec& spec : parameter_specs(model, optimizer)) {
            found[spec.name] = spec.shape;
            EXPECT_EQ(spec.decayed, spec.kind != ParameterKind::bias) << spec.name;
        }
        return found;
    };
    ModelConfig model = testing_models::small_model(Architecture::pre);
    const std::int64_t plain = parameter_count(model);
    model.qkv_bias = model.output_bias = model.mlp_bias = true;
    model.qk_norm = QkNormKind::projection;
    auto found = shapes(model);
    EXPECT_EQ(found.at("layers.1.attention.qkv.bias"), (Shape{2, 4, 6}));
    EXPECT_EQ(found.at("layers.1.attention.out.bias"), (Shape{12}));
    EXPECT_EQ(found.at("layers.1.mlp.gate_up.bias"), (Shape{2, 7}));
    EXPECT_EQ(found.at("layers.1.mlp.down.bias"), (Shape{12}));
    EXPECT_EQ(found.at("layers.1.attention.q_norm.weight"), (Shape{2, 2, 6}));
    EXPECT_EQ(found.at("layers.1.attention.k_norm.weight"), (Shape{2, 6}));
    EXPECT_EQ(parameter_count(model), plain + 3 * (48 + 12 + 14 + 12 + 24 + 12));
    model.qk_norm = QkNormKind::head;
    found = shapes(model);
    EXPECT_EQ(found.at("layers.1.attention.q_norm.weight"), (Shape{6}));
    EXPECT_EQ(found.at("layers.1.attention.k_norm.weight"), (Shape{6}));
}

TEST(Parameters, biases_start_at_zero_and_norms_of_heads_at_one) {
    for (const ModelConfig& model :
         testing_models::with_biases_and_qk_norms(testing_models::small_model(Architecture::pre)))
        for (const ParameterSpec& spec : parameter_specs(model, {}))
            if (spec.kind == ParameterKind::bias || spec.kind == ParameterKind::norm) {
                EXPECT_TRUE(spec.initialiser.stddev.empty()) << spec.name;
                EXPECT_EQ(spec.initialiser.constant, spec.kind == ParameterKind::norm ? 1.0 : 0.0) << spec.name;
            }
}

TEST(Parameters, count_as_the_paper_does) {
    EXPECT_EQ(parameter_count(model_71m(Architecture::pre)), 70578688);
    EXPECT_EQ(parameter_count(model_71m(Architecture::pre_gpas)), 70578688 + 12);
}

TEST(Parameters, gates_are_never_decayed_and_norms_only_when_asked) {
    OptimizerConfig optimizer;
    optimizer.decay_norms = true;
    for (const ParameterSpec& spec : parameter_specs(model_71m(Architecture::pre_gpas), optimizer))
        EXPECT_EQ(spec.decayed, spec.kind != ParameterKind::gate) << spec.name;
    optimizer = {};
    optimizer.decay_embeddings = false;
    for (const ParameterSpec& spec : parameter_specs(model_71m(Architecture::pre_gpas), optimizer))
        EXPECT_EQ(spec.decayed, spec.kind == ParameterKind::matrix) << spec.name;
}

std::unique_ptr<Replica> initialised(const ModelConfig& model, int threads = 1, std::uint64_t seed = 1234) {
    auto replica = std::make_unique<Replica>(model, OptimizerConfig{}, ModelShape{.batch = 1, .sequence = 4}, threads);
    initialise(replica->context, replica->store, seed, replica->data_group());
    return replica;
}

// Standard deviation of elements [begin, end) of a parameter; five of its own deviations are 5/√(2n) of it.
double deviation(const Replica& replica, const std::string& name, std::int64_t begin = 0, std::int64_t end = -1) {
    const Tensor w = replica.store.master(replica.store.index_of(name));
    if (end < 0) end = w.elements();
    double sum = 0.0;
    for (std::int64_t i = begin; i < end; ++i) sum += double(w.as<float>()[i]) * double(w.as<float>()[i]);
    return std::sqrt(sum / double(end - begin));
}
void expect_deviation(const Replica& replica, const std::string& name, double expected, std::int64_t begin = 0,
                      std::int64_t end = -1) {
    const std::int64_t count = end < 0 ? replica.store.master(replica.store.index_of(name)).elements() : end - begin;
    EXPECT_NEAR(deviation(replica, name, begin, end) / expected, 1.0, 5.0 / std::sqrt(2.0 * double(count))) << name;
}

ModelConfig medium_model(Architecture architecture) {
    ModelConfig model;
    model.architecture = architecture;
    model.vocab_size = 500;
    model.hidden_size = 64;
    model.ffn_size = 96;
    model.layers = 4;
    model.heads = 4;
    model.kv_heads = 2;
    return model;
}

TEST(Initialisation, is_that_of_the_reference_code) {
    const auto replica = initialised(medium_model(Architecture::lns_gpas));
    expect_deviation(*replica, "embedding.weight", std::sqrt(2.0 / 5.0));
    expect_deviation(*replica, "head.weight", 0.02);
    expect_deviation(*replica, "layers.0.attention.qkv.weight", 0.02);
    expect_deviation(*replica, "layers.3.mlp.down.weight", 0.02);
    for (int layer = 0; layer < 4; ++layer) {
        const std::string name = "layers." + std::to_string(layer) + ".mlp.pre_norm.weight";
        EXPECT_FLOAT_EQ(replica->store.master(replica->store.index_of(name)).as<float>()[5],
                        float(1.0 / std::sqrt(layer + 1.0)));
    }
    EXPECT_EQ(replica->store.master(replica->store.index_of("layers.1.gate")).as<float>()[0], 0.0F);
}

TEST(Initialisation, of_plain_deepnorm_alone_is_xavier_with_small_values_and_outputs) {
    const auto replica = initialised(medium_model(Architecture::deeppost));
    const double beta = std::pow(8.0 * 4.0, -0.25);
    const double fan_queries = std::sqrt(2.0 / (64 + 64)), fan_keys = std::sqrt(2.0 / (64 + 32));
    const std::int64_t slot = 16 * 64;  // [2 groups, 2 queries + key + value, 16, 64]
    for (std::int64_t group = 0; group < 2; ++group) {
        const std::int64_t begin = group * 4 * slot;
        expect_deviation(*replica, "layers.2.attention.qkv.weight", fan_queries, begin, begin + 2 * slot);
        expect_deviation(*replica, "layers.2.attention.qkv.weight", fan_keys, begin + 2 * slot, begin + 3 * slot);
        expect_deviation(*replica, "layers.2.attention.qkv.weight", beta * fan_keys, begin + 3 * slot,
                         begin + 4 * slot);
    }
    expect_deviation(*replica, "layers.2.attention.out.weight", beta * fan_queries);
    expect_deviation(*replica, "layers.2.mlp.gate_up.weight", beta * std::sqrt(2.0 / (64 + 96)));
    expect_deviation(*replica, "layers.2.mlp.down.weight", beta * std::sqrt(2.0 / (64 + 96)));
    expect_deviation(*initialised(medium_model(Architecture::deeppost_gpas)), "layers.2.mlp.down.weight", 0.02);
}

TEST(Initialisation, may_scale_the_outputs_and_leave_the_embedding_plain) {
    ModelConfig model = medium_model(Architecture::pre);
    model.output_init = OutputInit::scaled;
    model.embedding_init = EmbeddingInit::normal;
    const auto replica = initialised(model);
    expect_deviation(*replica, "layers.0.attention.out.weight", 0.02 / std::sqrt(8.0));
    expect_deviation(*replica, "layers.0.mlp.gate_up.weight", 0.02);
    expect_deviation(*replica, "embedding.weight", 0.02);
}

TEST(Initialisation, is_keyed_by_seed_name_and_element_and_by_nothing_else) {
    const auto values = [](const Replica& replica, const std::string& name) {
        const Tensor w = replica.store.master(replica.store.index_of(name));
        return std::vector<float>(w.as<float>(), w.as<float>() + w.elements());
    };
    const std::string name = "layers.1.mlp.down.weight";
    const auto base = values(*initialised(medium_model(Architecture::pre)), name);
    EXPECT_EQ(values(*initialised(medium_model(Architecture::pre), 3), name), base);
    ModelConfig deeper = medium_model(Architecture::sandwich_gpas);
    deeper.layers = 6;
    EXPECT_EQ(values(*initialised(deeper), name), base);
    EXPECT_NE(values(*initialised(medium_model(Architecture::pre), 1, 99), name), base);
    EXPECT_NE(values(*initialised(medium_model(Architecture::pre)), "layers.2.mlp.down.weight"), base);
}

TEST(Plan, is_what_the_replica_then_uses) {
    for (const Architecture a : all_architectures())
        for (const Dtype dtype : {Dtype::fp32, Dtype::bf16}) {
            const ModelConfig model = medium_model(a);
            const ModelShape shape{.batch = 2, .sequence = 70, .dtype = dtype};
            Replica replica(model, {}, shape, 2);  // an arena that is too small throws
            initialise(replica.context, replica.store, 1, replica.data_group());
            reference::Rows rows = testing_models::test_rows(model, 2, 70, false);
            replica.loss_and_backward(testing_models::rows_of(rows), 1.0F);
            EXPECT_LE(replica.context.scratch().peak_bytes(), replica.plan().scratch_bytes);
            EXPECT_GT(replica.plan().activation_bytes, 0);
        }
}

}  // namespace
}  // namespace gpas
