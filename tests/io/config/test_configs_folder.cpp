// The files under configs/: all load, all are consistent, and they are the models and runs of the paper.
#include "base/error.hpp"
#include "io/config/check.hpp"
#include "io/config/enum_names.hpp"
#include "tests/io/config/config_files.hpp"

namespace gpas {
namespace {

const std::string folder = GPAS_SOURCE_ROOT "/configs/";

// LLaMA without biases, gates not counted: embedding and head, per layer q, k, v, o, the MLP and two norms, final norm.
std::int64_t parameter_count(const ModelConfig& model) {
    const std::int64_t head_dim = model.head_dim > 0 ? model.head_dim : model.hidden_size / model.heads;
    const std::int64_t kv_heads = model.kv_heads > 0 ? model.kv_heads : model.heads;
    const std::int64_t attention = 2 * model.hidden_size * head_dim * (model.heads + kv_heads);
    const std::int64_t mlp = 3 * model.hidden_size * model.ffn_size;
    const std::int64_t embeddings = (model.tied_embeddings ? 1 : 2) * model.vocab_size * model.hidden_size;
    return embeddings + model.layers * (attention + mlp + 2 * model.hidden_size) + model.hidden_size;
}

struct PaperSize {
    const char* name;
    std::int64_t parameters;
    std::int64_t head_dim;
    double learning_rate;
    std::int64_t steps, warmup_steps, global_batch_size;
    double clip_grad, clip_gate_grad;
};

// GPAS (arXiv 2506.22049) and its official code.
constexpr PaperSize paper_sizes[] = {
    {"71m", 70'578'688, 64, 1e-3, 10'000, 1'000, 512, 0, 0},
    {"130m", 134'105'856, 64, 1e-3, 20'000, 2'000, 512, 0, 0},
    {"250m", 247'370'496, 48, 1e-3, 40'000, 4'000, 512, 0, 0},
    {"350m", 367'969'280, 64, 5e-4, 60'000, 6'000, 512, 0, 0},
    {"1b", 1'339'082'752, 64, 5e-4, 100'000, 10'000, 512, 0, 0},
    {"7b", 6'738'415'616, 128, 3e-4, 150'000, 10'000, 2048, 1.0, 0.01},
};

TEST(Configs, EveryFileLoadsAndPassesTheChecks) {
    int files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
        if (entry.path().extension() != ".yaml") continue;
        SCOPED_TRACE(entry.path().string());
        EXPECT_NO_THROW(load_config(entry.path().string()));
        ++files;
    }
    EXPECT_GE(files, 6 + 1 + 1 + 12);
}

TEST(Configs, SizesAreThoseOfThePaper) {
    for (const PaperSize& size : paper_sizes) {
        SCOPED_TRACE(size.name);
        const LoadedConfig loaded = load_config(folder + size.name + ".yaml");
        const RunConfig& run = loaded.values;
        EXPECT_EQ(parameter_count(run.model), size.parameters);
        EXPECT_EQ(run.model.hidden_size / run.model.heads, size.head_dim);
        EXPECT_EQ(run.name, size.name);
        EXPECT_EQ(run.directory, std::string("runs/") + size.name + "-pre_gpas");
        EXPECT_EQ(run.optimizer.learning_rate, size.learning_rate);
        EXPECT_EQ(run.training.steps, size.steps);
        EXPECT_EQ(run.schedule.warmup_steps, size.warmup_steps);
        EXPECT_EQ(run.training.global_batch_size, size.global_batch_size);
        EXPECT_EQ(run.optimizer.clip_grad, size.clip_grad);
        EXPECT_EQ(run.optimizer.clip_gate_grad, size.clip_gate_grad);
        EXPECT_EQ(run.optimizer.beta1, 0.9);
        EXPECT_EQ(run.optimizer.beta2, 0.999);
        EXPECT_EQ(run.optimizer.epsilon, 1e-8);
        EXPECT_EQ(run.optimizer.weight_decay, 0.0);
        EXPECT_EQ(run.schedule.kind, ScheduleKind::cosine);
        EXPECT_EQ(run.schedule.min_ratio, 0.1);
        EXPECT_EQ(run.data.sequence_length, 256);
        EXPECT_EQ(run.compute.dtype, ComputeDtype::bf16);
        for (const std::int64_t ranks : {1, 2, 4, 8, 16, 32, 64})
            EXPECT_EQ(check_for_world(loaded, ranks).ranks(), ranks);
    }
}

TEST(Configs, EveryRowCombinesWithEverySize) {
    for (const auto& row : enum_names<Architecture>()) {
        const std::string overlay = folder + "architectures/" + std::string(row.name) + ".yaml";
        for (const PaperSize& size : paper_sizes) {
            SCOPED_TRACE(overlay + " on " + size.name);
            const auto loaded = load_config({folder + size.name + ".yaml", overlay}, {"training.steps=50000"});
            EXPECT_EQ(loaded.values.model.architecture, row.value);
            EXPECT_EQ(loaded.values.directory, fmt::format("runs/{}-{}", size.name, row.name));
        }
    }
}

TEST(Configs, ThePapersRecipeCombinesWithEverySize) {
    for (const PaperSize& size : paper_sizes) {
        const RunConfig run = load_config({folder + size.name + ".yaml", folder + "paper_recipe.yaml"}).values;
        EXPECT_EQ(run.data.mode, SampleMode::padded);
        EXPECT_EQ(run.data.truncated_end, TruncatedEnd::eos);
        EXPECT_EQ(run.training.loss_mean, LossMean::micro_batches);
        EXPECT_EQ(run.schedule.first_step, 0);
        EXPECT_EQ(run.training.steps, size.steps);
    }
}

TEST(Configs, ASizeAndARowCombineByInclude) {
    const ConfigFiles files;
    const auto path =
        files.write("mine.yaml", fmt::format("include: [{0}71m.yaml, {0}architectures/sandwich.yaml]\n", folder));
    const auto loaded = load_config(path, {"training.steps=2000"});
    EXPECT_EQ(loaded.values.model.architecture, Architecture::sandwich);
    EXPECT_EQ(loaded.values.model.hidden_size, 512);
}

TEST(Configs, QuickStartFitsALaptop) {
    const RunConfig run = load_config(folder + "quickstart.yaml").values;
    EXPECT_EQ(run.directory, "runs/quickstart");
    EXPECT_EQ(run.model.hidden_size / run.model.heads, 64);
    EXPECT_LT(parameter_count(run.model), 10'000'000);
    EXPECT_EQ(run.compute.dtype, ComputeDtype::fp32);
}

}  // namespace
}  // namespace gpas
