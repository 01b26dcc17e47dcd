// The loss without one layer, and the angle by which each layer turns the stream: against the reference in double
// precision, and on several ranks.
#include "base/error.hpp"
#include "engine/run/layer_importance.hpp"
#include "tests/support/models.hpp"
#include "tests/support/thread_communicator.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

namespace gpas {
namespace {

using namespace testing_models;

constexpr std::int64_t window = 9, micro = 2;

// `count` samples with documents, some labels left out. All samples in one batch are reference rows.
EvaluationSamples samples_from(reference::Rows& rows) {
    const auto fill = [&rows](Batch& batch, std::int64_t first, std::int64_t count) {
        batch = {.samples = count, .sequence_length = window};
        for (std::int64_t t = 0; t < window; ++t)
            for (std::int64_t b = first; b < first + count; ++b) {
                const auto i = std::size_t(t * rows.batch + b);
                batch.tokens.push_back(rows.tokens[i]);
                batch.labels.push_back(rows.labels[i]);
                batch.segment_begin.push_back(rows.segment_begin[i]);
                batch.loss_tokens += rows.labels[i] != -1;
            }
    };
    return {.count = rows.batch, .fill = fill, .mask_documents = true};
}

reference::Rows layer_test_rows(const ModelConfig& model, std::int64_t samples) {
    reference::Rows rows = test_rows(model, samples, window, false);
    for (std::int64_t t = 0; t < window; ++t)
        for (std::int64_t b = 0; b < samples; ++b)
            if (t >= 2 + b % 5) rows.segment_begin[std::size_t(t * samples + b)] = std::int32_t(2 + b % 5);
    return rows;
}

std::int64_t loss_tokens(const reference::Rows& rows) {
    return std::count_if(rows.labels.begin(), rows.labels.end(), [](std::int32_t label) { return label != -1; });
}

// The distances of the reference's streams, by the formula of stream_angles.hpp.
std::vector<double> reference_distances(const reference::Model& model, const reference::Rows& rows, std::int64_t C) {
    std::vector<double> distances;
    for (std::size_t layer = 0; layer + 1 < model.layer_streams().size(); ++layer) {
        const reference::Vec &a = model.layer_streams()[layer], &b = model.layer_streams()[layer + 1];
        double sum = 0.0;
        for (std::size_t t = 0; t < rows.labels.size(); ++t) {
            double ab = 0.0, aa = 0.0, bb = 0.0;
            for (std::size_t i = t * std::size_t(C); i < (t + 1) * std::size_t(C); ++i) {
                ab += a[i] * b[i];
                aa += a[i] * a[i];
                bb += b[i] * b[i];
            }
            if (rows.labels[t] != -1) sum += std::acos(ab / std::sqrt(aa * bb)) / std::numbers::pi;
        }
        distances.push_back(sum / double(loss_tokens(rows)));
    }
    return distances;
}

void for_every_row(const std::function<void(const ModelConfig&)>& check) {
    // Fewer on an emulated GPU, which is slow. test_gradients computes every row on it.
    const std::vector<Architecture> tested =
        test_support::test_device == Device::cpu
            ? all_architectures()
            : std::vector{Architecture::pre_gpas, Architecture::reordered_gpas, Architecture::deeppost_gpas};
    for (const Architecture architecture : tested)
        for (const bool per_sublayer : {false, true}) {
            ModelConfig model = small_model(architecture);
            if (per_sublayer && !has_gates(architecture)) continue;
            model.gate.per_sublayer = per_sublayer;
            if (per_sublayer) {  // gates that turn the stream around, since 1 - s(g) < 0
                model.gate.function = GateFunction::scaled_silu;
                model.gate.scale = 8.0;
            }
            SCOPED_TRACE(fmt::format("row {}, per_sublayer {}", int(architecture), per_sublayer));
            check(model);
        }
}

double to_fp32(double x) { return double(float(x)); }

// Mean losses without each layer, and with every layer at the end.
std::vector<double> reference_losses(const ModelConfig& config, const reference::Rows& rows, bool rounded) {
    reference::Model model = reference_model(config);
    if (rounded) model.round = to_fp32;
    std::vector<double> losses;
    for (std::int64_t layer = 0; layer <= config.layers; ++layer) {
        model.without_layer = layer;
        losses.push_back(model.loss(rows) / double(loss_tokens(rows)));
    }
    return losses;
}

TEST(LayerRemoval, gives_the_loss_of_the_reference_without_the_layer) {
    for_every_row([](const ModelConfig& config) {
        reference::Rows rows = layer_test_rows(config, 5);  // the last micro-batch has a sample of padding
        const std::vector<double> exact = reference_losses(config, rows, false),
                                  rounded = reference_losses(config, rows, true);
        // The sums inside an operation round no finer than what is stored; the longest have 23 terms (test_gradients).
        // At the least, a loss is rounded to fp32 once.
        double rounding = 0x1p-24 * *std::max_element(exact.begin(), exact.end());
        for (std::size_t i = 0; i < exact.size(); ++i) rounding = std::max(rounding, std::abs(rounded[i] - exact[i]));
        const double bound = 2.0 * std::sqrt(23.0) * rounding;
        TestReplica replica(config, {.batch = micro, .sequence = window, .training = false}, 2);
        Mesh mesh = make_self_mesh();
        const PipelineShape pipeline{.micro_batches = 1};
        const EvaluationSamples samples = samples_from(rows);
        for (std::int64_t layer = 0; layer < config.layers; ++layer) {
            const EvaluationResult found = evaluate_without(layer, *replica, mesh, pipeline, samples);
            EXPECT_NEAR(found.loss, exact[std::size_t(layer)], bound) << layer;
            EXPECT_EQ(found.tokens, loss_tokens(rows));
            for (std::int64_t other = 0; other <= config.layers; ++other)
                if (other != layer) {
                    EXPECT_GT(std::abs(exact[std::size_t(other)] - exact[std::size_t(layer)]), 2.0 * bound);
                }
        }
        // Nothing of a layer stays left out.
        EXPECT_NEAR(evaluate(*replica, mesh, pipeline, samples).loss, exact.back(), bound);
    });
}

TEST(LayerRemoval, of_a_layer_that_adds_nothing_changes_nothing) {
    const ModelConfig config = small_model(Architecture::pre);
    reference::Rows rows = layer_test_rows(config, 4);
    TestReplica replica(config, {.batch = micro, .sequence = window, .training = false}, 1);
    for (const char* name : {"layers.1.attention.out.weight", "layers.1.mlp.down.weight"})
        fill(replica->context, replica->store.master(replica->store.index_of(name)), 0.0F);
    publish_weights(replica->context, replica->store, replica->data_group());
    Mesh mesh = make_self_mesh();
    EvaluationSamples samples = samples_from(rows);
    StreamAngles angles(config.layers);
    samples.angles = &angles;
    const double whole = evaluate(*replica, mesh, {.micro_batches = 1}, samples).loss;
    EXPECT_EQ(evaluate_without(1, *replica, mesh, {.micro_batches = 1}, samples).loss, whole);
    EXPECT_GT(std::abs(evaluate_without(2, *replica, mesh, {.micro_batches = 1}, samples).loss - whole), 1e-3);
    const std::vector<double> distances = angular_distances(angles, mesh);
    // acos of 1 - 2⁻⁵³ is 1.5e-8.
    EXPECT_NEAR(distances[1], 0.0, 4 * 1.5e-8 / std::numbers::pi);
    EXPECT_GT(distances[0], 0.01);
}

TEST(AngularDistance, is_that_of_the_reference) {
    for_every_row([](const ModelConfig& config) {
        reference::Rows rows = layer_test_rows(config, 5);
        reference::Model reference = reference_model(config);
        reference.loss(rows);
        const std::vector<double> exact = reference_distances(reference, rows, config.hidden_size);
        for (const Dtype dtype : {Dtype::fp32, Dtype::bf16}) {
            TestReplica replica(config, {.batch = micro, .sequence = window, .dtype = dtype, .training = false}, 2);
            Mesh mesh = make_self_mesh();
            EvaluationSamples samples = samples_from(rows);
            StreamAngles angles(config.layers);
            samples.angles = &angles;
            evaluate(*replica, mesh, {.micro_batches = 1}, samples);
            const std::vector<double> found = angular_distances(angles, mesh);
            // Every element of the stream is a sum of at most 7 terms that were stored before; each was rounded by at
            // most half a unit, and the branches' inputs were, too: 16 units in all.
            const double bound = 16.0 * (dtype == Dtype::fp32 ? 0x1p-24 : 0x1p-8);
            ASSERT_EQ(found.size(), exact.size());
            for (std::size_t layer = 0; layer < found.size(); ++layer) EXPECT_NEAR(found[layer], exact[layer], bound);
        }
    });
}

TEST(AngularDistance, has_a_value_for_a_zero_vector_and_keeps_nan) {
    const float nan = std::nanf("");
    std::vector<float> before{0, 0, 1, 0, 1, 0, nan, 1}, after{1, 1, -2, 0, 3, 0, 1, 1};
    std::vector<std::int32_t> labels{5, -1, 0, 0, 0};
    const auto context =
        make_context(whole_replica(small_model(Architecture::pre), {}, {.batch = 1, .sequence = 4}, 1));
    const auto distance = [&](std::int64_t begin, std::int64_t rows) {
        StreamAngles angles(3);
        angles.begin(*context, {.x = Tensor(before.data(), Dtype::fp32, {4, 2}).slice(begin, begin + rows)},
                     Tensor(labels.data(), Dtype::int32, {5}), begin + 1);
        angles.after(*context, 2, {.x = Tensor(after.data(), Dtype::fp32, {4, 2}).slice(begin, begin + rows)});
        return angles.sums()[2];
    };
    EXPECT_EQ(distance(0, 1).tokens, 0);
    EXPECT_EQ(distance(1, 2).distance, 1.0);  // opposite, and the same direction
    EXPECT_EQ(distance(1, 2).tokens, 2);
    EXPECT_TRUE(std::isnan(distance(3, 1).distance));
    labels[1] = 0;
    EXPECT_EQ(distance(0, 1).distance, 0.5);
}

struct LayoutCase {
    MeshSize size;
    bool sequence_parallel = false;
    int chunks = 1;
    std::int64_t micro_batch = micro;
};

// Of a model with four layers: the loss without each layer, then the distances.
std::vector<double> importance_on(Architecture architecture, const LayoutCase& layout) {
    RunConfig config;
    config.model = small_model(architecture);
    config.model.layers = 4;
    config.model.mix_post_layers = 2;
    config.model.init_std = 0.5;
    config.data.sequence_length = window;
    config.training.micro_batch_size = layout.micro_batch;
    config.training.global_batch_size = 8;
    config.parallel.sequence_parallel = layout.sequence_parallel;
    config.parallel.virtual_chunks = layout.chunks;
    if (layout.chunks > 1) config.parallel.schedule = PipelineSchedule::interleaved;
    std::vector<double> values;
    run_as_threads(layout.size.tensor * layout.size.pipeline * layout.size.data, [&](Communicator& world) {
        Mesh mesh = make_mesh(world.duplicate(), layout.size);
        Replica replica(replica_shape(config, mesh.size, mesh.place, 1, false), *mesh.tensor, *mesh.data);
        initialise(replica.context, replica.store, config.seed, *mesh.data);
        reference::Rows rows = layer_test_rows(config.model, 23);
        EvaluationSamples samples = samples_from(rows);
        StreamAngles angles(config.model.layers);
        samples.angles = &angles;
        const PipelineShape pipeline = pipeline_shape(config, mesh.size);
        evaluate(replica, mesh, pipeline, samples);
        std::vector<double> mine;
        for (std::int64_t layer = 0; layer < config.model.layers; ++layer)
            mine.push_back(evaluate_without(layer, replica, mesh, pipeline, samples).loss);
        for (const double distance : angular_distances(angles, mesh)) mine.push_back(distance);
        if (world.rank() == 0) values = mine;
    });
    return values;
}

TEST(LayerImportance, does_not_depend_on_the_layout) {
    if (test_support::test_device != Device::cpu) GTEST_SKIP() << "ranks are threads on the CPU";
    const LayoutCase layouts[] = {{{.tensor = 2}},
                                  {{.tensor = 2}, true},
                                  {{.tensor = 2}, true, 1, 1},  // 9 rows and one of padding
                                  {{.pipeline = 2}},
                                  {{.pipeline = 4}},  // a stage of one layer, which is left out, has nothing to compute
                                  {{.pipeline = 2}, false, 2},
                                  {{.data = 3}},
                                  {{.tensor = 2, .data = 2, .pipeline = 2}, true}};
    for (const Architecture architecture :
         {Architecture::pre, Architecture::pre_gpas, Architecture::deeppost_gpas, Architecture::post_pre_gpas}) {
        const std::vector<double> one = importance_on(architecture, {});
        ASSERT_EQ(one.size(), 8U);
        for (const LayoutCase& layout : layouts) {
            const std::vector<double> other = importance_on(architecture, layout);
            ASSERT_EQ(other.size(), one.size());
            for (std::size_t i = 0; i < one.size(); ++i)
                EXPECT_NEAR(other[i], one[i], 16.0 * 0x1p-24 * std::max(one[i], 1.0))
                    << "row " << int(architecture) << ", tensor " << layout.size.tensor << ", pipeline "
                    << layout.size.pipeline << ", chunks " << layout.chunks << ", value " << i;
        }
    }
}

TEST(LayerImportance, reads_the_layers_strictly) {
    EXPECT_EQ(parse_layers("--without-layer", "all", 3), (std::vector<std::int64_t>{0, 1, 2}));
    EXPECT_EQ(parse_layers("--without-layer", "0", 3), (std::vector<std::int64_t>{0}));
    EXPECT_EQ(parse_layers("--without-layer", "2", 3), (std::vector<std::int64_t>{2}));
    for (const char* text :
         {"", "3", "-1", "+1", "1.0", "1e0", "0x1", "1,2", " 1", "1 ", "All", "al", "99999999999999999999"})
        try {
            parse_layers("--without-layer", text, 3);
            ADD_FAILURE() << text;
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), ExitCode::usage);
            EXPECT_EQ(
                std::string(error.what()),
                fmt::format("--without-layer: found '{}', expected a layer of the model, from 0 to 2, or all", text));
        }
}

}  // namespace
}  // namespace gpas
