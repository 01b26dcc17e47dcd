// Generation on tensor-parallel and pipeline-parallel ranks, and of several texts at a time.
#include "engine/run/generate.hpp"
#include "tests/support/models.hpp"
#include "tests/support/thread_communicator.hpp"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

namespace gpas {
namespace {

using namespace testing_models;
using Texts = std::vector<std::vector<std::int32_t>>;

struct GenerationLayout {
    const char* name;
    MeshSize mesh;
    std::int64_t chunks = 1;
};
const std::vector<GenerationLayout> generation_layouts{
    {"tp2", {.tensor = 2}},
    {"tp4", {.tensor = 4}},
    {"pp2", {.pipeline = 2}},
    {"pp4", {.pipeline = 4}},
    {"tp2 pp2", {.tensor = 2, .pipeline = 2}},
    {"pp2 interleaved", {.pipeline = 2}, 2},
};

// The vocabulary of 23 divides by no group. The last new tokens are past the window.
RunConfig run_of(const ModelConfig& model, const GenerationLayout& layout) {
    RunConfig config;
    config.model = model;
    config.model.layers = 4;
    config.model.kv_heads = 4;
    config.model.init_std = 0.5;
    config.data.sequence_length = 12;
    config.compute.dtype = ComputeDtype::fp32;
    config.parallel.tensor = layout.mesh.tensor;
    config.parallel.pipeline = layout.mesh.pipeline;
    config.parallel.virtual_chunks = layout.chunks;
    return config;
}
RunConfig run_of(Architecture architecture, const GenerationLayout& layout) {
    return run_of(small_model(architecture), layout);
}
const std::vector<Prompt> three_prompts{{3, 8, 13, 18}, {7}, {1, 2, 3, 4, 5, 6, 7}};

// On every rank the same texts; returns them.
Texts generate_on(const RunConfig& config, MeshSize size, const std::vector<Prompt>& prompts,
                  const GenerationOptions& options) {
    std::mutex mutex;
    std::vector<Texts> of_ranks;
    run_as_threads(size.ranks(), [&](Communicator& world) {
        Mesh mesh = make_mesh(world.duplicate(), size);
        const ReplicaShape shape =
            generation_shape(config, size, mesh.place, std::int64_t(prompts.size()), 1, Device::cpu);
        Replica replica(shape, *mesh.tensor, *mesh.data);
        initialise(replica.context, replica.store, 5, *mesh.data);
        for (std::size_t i = 0; i < replica.store.specs().size(); ++i)  // initial biases are 0
            if (const ParameterSpec& spec = replica.store.specs()[i]; spec.kind == ParameterKind::bias)
                fill(replica.context, replica.store.master(i), float(scattered(spec.name, 0)));
        NextLogits next(replica, mesh);
        const Texts texts = generate(next, prompts, options);
        const std::lock_guard lock(mutex);
        of_ranks.push_back(texts);
    });
    for (const Texts& texts : of_ranks) EXPECT_EQ(texts, of_ranks.front());
    return of_ranks.front();
}

const GenerationOptions greedy{.count = 16, .ends = {}, .sampling = {.temperature = 0.0}, .on_token = {}};
const GenerationOptions sampled{.count = 16, .ends = {}, .sampling = {.temperature = 1.5, .seed = 9}, .on_token = {}};

TEST(GenerateOnLayouts, gives_the_tokens_of_one_rank) {
    for (const Architecture architecture : {Architecture::pre_gpas, Architecture::post_pre_gpas,
                                            Architecture::sandwich_gpas, Architecture::deeppost_gpas})
        for (const GenerationOptions& options : {greedy, sampled}) {
            const Texts alone = generate_on(run_of(architecture, {}), {}, three_prompts, options);
            for (const GenerationLayout& layout : generation_layouts) {
                SCOPED_TRACE(fmt::format("architecture {} on {}", int(architecture), layout.name));
                const RunConfig config = run_of(architecture, layout);
                EXPECT_EQ(generate_on(config, layout.mesh, three_prompts, options), alone);
            }
        }
}

TEST(GenerateOnLayouts, gives_the_tokens_of_one_rank_with_biases_and_norms_of_queries_and_keys) {
    for (const ModelConfig& model : with_biases_and_qk_norms(small_model(Architecture::sandwich_gpas))) {
        const Texts alone = generate_on(run_of(model, {}), {}, three_prompts, greedy);
        for (const GenerationLayout& layout : generation_layouts) {
            SCOPED_TRACE(fmt::format("qk_norm {} on {}", int(model.qk_norm), layout.name));
            EXPECT_EQ(generate_on(run_of(model, layout), layout.mesh, three_prompts, greedy), alone);
        }
    }
}

TEST(GenerateTogether, gives_each_text_as_if_it_were_alone) {
    const RunConfig config = run_of(Architecture::pre_gpas, {});
    for (const GenerationOptions& options : {greedy, sampled}) {
        const Texts together = generate_on(config, {}, three_prompts, options);
        for (std::size_t i = 0; i < three_prompts.size(); ++i) {
            GenerationOptions alone = options;
            alone.first = i;
            EXPECT_EQ(generate_on(config, {}, {three_prompts[i]}, alone).front(), together[i]) << "text " << i;
            EXPECT_EQ(together[i].size(), 16U);
        }
    }
    EXPECT_NE(generate_on(config, {}, {{7}, {7}}, sampled)[0], generate_on(config, {}, {{7}, {7}}, sampled)[1]);
}

TEST(GenerateTogether, ends_each_text_by_itself) {
    const RunConfig config = run_of(Architecture::pre_gpas, {});
    const Texts whole = generate_on(config, {}, three_prompts, sampled);
    GenerationOptions options = sampled;
    options.ends = {whole[0][3], whole[2][5]};
    const Texts cut = generate_on(config, {}, three_prompts, options);
    for (std::size_t i = 0; i < cut.size(); ++i) {
        const auto end = std::find_first_of(whole[i].begin(), whole[i].end(), options.ends.begin(), options.ends.end());
        EXPECT_EQ(cut[i], std::vector<std::int32_t>(whole[i].begin(), end)) << "text " << i;
    }
    EXPECT_LE(cut[0].size(), 3U);
}

TEST(GenerateTogether, reports_each_token_once) {
    const RunConfig config = run_of(Architecture::pre_gpas, {});
    Texts reported(three_prompts.size());
    GenerationOptions options = greedy;
    options.on_token = [&](std::size_t text, std::int32_t token) { reported[text].push_back(token); };
    EXPECT_EQ(generate_on(config, {}, three_prompts, options), reported);
}

}  // namespace
}  // namespace gpas
