#include "base/error.hpp"
#include "engine/commands/command.hpp"
#include "engine/commands/model_argument.hpp"
#include "engine/run/device.hpp"
#include "engine/run/evaluate_tasks.hpp"
#include "engine/run/layer_importance.hpp"
#include "engine/run/paper_evaluation.hpp"
#include "engine/run/run_state.hpp"
#include "engine/run/same_ranks.hpp"
#include "engine/run/threads.hpp"
#include "io/config/check.hpp"
#include "io/data/ngram_baseline.hpp"
#include "io/metrics/console.hpp"
#include "io/metrics/text.hpp"
#include "parallel/agree.hpp"
#include "parallel/mpi/mpi_session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

namespace gpas {
namespace {

struct EvalArguments {
    std::shared_ptr<ModelArgument> model;
    bool baseline = false;
    bool all = false;
    bool angular_distance = false;
    std::string paper;                         // --paper BATCHxGPUS; empty: option not given
    std::optional<std::string> without_layer;  // --without-layer N or all
    std::vector<std::string> tasks;            // --task; empty: the loss on the held-out data
};

void print_line(const char* name, double loss) {
    std::printf("%-22s loss %.4f   perplexity %s\n", name, loss, perplexity_text(loss).c_str());
}

void print_paper(const PaperEvaluation& paper, const PaperLayout& layout) {
    print_line("as the paper's code", paper.loss);
    const auto [fewest, most] = std::minmax_element(paper.batches.begin(), paper.batches.end());
    std::printf("%s\n",
                fmt::format("  sum of batch means / (batches + 1): {} batches of {} samples on each of {} GPU(s), {} "
                            "tokens; its perplexity depends on both numbers",
                            *fewest == *most ? std::to_string(*most) : fmt::format("{} to {}", *fewest, *most),
                            layout.batch, layout.gpus, paper.tokens)
                    .c_str());
}

// The table of --without-layer and --angular-distance: one line per layer.
struct LayerTable {
    std::vector<std::int64_t> layers;
    bool losses = false;            // with the loss without the layer
    std::vector<double> distances;  // of every layer of the model; empty: without angular distances
    double whole_loss = 0.0;
};

LayerTable layer_table(const EvalArguments& options, std::int64_t layers) {
    if (options.without_layer)
        return {.layers = parse_layers("--without-layer", *options.without_layer, layers), .losses = true};
    if (!options.angular_distance) return {};
    return {.layers = parse_layers("--angular-distance", "all", layers)};
}

void print_header(const LayerTable& table) {
    std::string line = "layer";
    if (table.losses) line += fmt::format("{:>15}{:>13}{:>13}", "loss without", "perplexity", "difference");
    if (!table.distances.empty()) line += fmt::format("{:>19}", "angular distance");
    std::printf("%s\n", line.c_str());
}

void print_row(const LayerTable& table, std::int64_t layer, double loss) {
    std::string line = fmt::format("{:>5}", layer);
    if (table.losses)
        line += fmt::format("{:>15.4f}{:>13}{:>+13.4f}", loss, perplexity_text(loss), loss - table.whole_loss);
    if (!table.distances.empty()) line += fmt::format("{:>19.6f}", table.distances[std::size_t(layer)]);
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);  // the next line may take minutes
}

// The model on this rank, with its weights.
struct LoadedModel {
    LoadedModel(const ChosenModel& model, int threads, std::unique_ptr<Communicator> world, MpiSession& mpi)
        : size(agree(*world, [&] { return mesh_of_ranks(model.config, world->size()); })),
          device(choose_device(model.config.values.compute, mpi, *world)),
          mesh(make_mesh(std::move(world), size, model.config.values.parallel.order)),
          shape(replica_shape(model.config.values, mesh.size, mesh.place, threads, false, device.device)),
          context(make_context(shape)) {
        const RunConfig& config = model.config.values;
        serve_device(mesh, *context, config.parallel.share_gpu, shape.compute.tensor_overlap);
        replica.emplace(shape, *context, *mesh.tensor, *mesh.data);
        load_run({*mesh.world, *mesh.data, config, replica->context, replica->store}, model.file, false);
    }

    MeshSize size;
    ChosenDevice device;
    Mesh mesh;
    ReplicaShape shape;
    std::unique_ptr<Context> context;
    std::optional<Replica> replica;
};

// Computes and prints the table. Collective.
void print_layers(const LayerTable& table, LoadedModel& loaded, const PipelineShape& pipeline,
                  const EvaluationSamples& samples) {
    const bool prints = loaded.mesh.world->rank() == 0;
    if (prints) print_header(table);
    for (const std::int64_t layer : table.layers) {
        double loss = 0.0;
        if (table.losses) loss = evaluate_without(layer, *loaded.replica, loaded.mesh, pipeline, samples).loss;
        if (prints) print_row(table, layer, loss);
    }
}

// Prints the loss on the held-out data.
void evaluate_loss(const EvalArguments& options, const ChosenModel& model, std::unique_ptr<Communicator> world,
                   MpiSession& mpi) {
    const auto layout = agree(*world, [&] {
        return options.paper.empty() ? std::optional<PaperLayout>() : parse_paper_layout(options.paper);
    });
    agree(*world, [&] { check_for_training(model.config); });
    const RunConfig& config = model.config.values;
    LayerTable table = agree(*world, [&] { return layer_table(options, config.model.layers); });
    const int threads = compute_threads(config.compute.threads, mpi);
    const RunData data = agree(*world, [&] {
        RunData opened = open_data(config.data, {.seed = config.seed,
                                                 .vocab_size = config.model.vocab_size,
                                                 .validation_samples = options.all ? 0 : config.evaluation.samples,
                                                 .threads = threads});
        if (!opened.valid) fail(ExitCode::usage, "there is no validation data: set data.valid or data.valid_fraction");
        return opened;
    });
    check_same_data(*world, fmt::format("{:016x}", data.fingerprint), "");
    LoadedModel loaded(model, threads, std::move(world), mpi);
    Mesh& mesh = loaded.mesh;
    const PipelineShape pipeline = pipeline_shape(config, mesh.size);
    EvaluationSamples samples = samples_of(*data.valid, config.data.mask_documents);
    StreamAngles angles(config.model.layers);
    if (options.angular_distance) samples.angles = &angles;
    const EvaluationResult result = evaluate(*loaded.replica, mesh, pipeline, samples);
    if (result.tokens == 0)
        throw AgreedError(ExitCode::usage, "no validation token has a loss: there is nothing to measure");
    std::optional<PaperEvaluation> paper;
    if (layout)
        paper = evaluate_as_paper(*loaded.replica, mesh, pipeline, *data.valid, config.data.mask_documents, *layout);
    table.whole_loss = result.loss;
    if (options.angular_distance) table.distances = angular_distances(angles, mesh);
    if (mesh.world->rank() == 0) {
        std::printf("%s: %lld validation tokens\n", model.file.c_str(), static_cast<long long>(result.tokens));
        print_line("model", result.loss);
        if (paper) print_paper(*paper, *layout);
    }
    if (!table.layers.empty()) print_layers(table, loaded, pipeline, samples);
    if (mesh.world->rank() != 0 || !options.baseline) return;
    const NgramBaseline baseline = ngram_baseline(data.train, *data.valid, config.model.vocab_size);
    print_line("unigram (add-one)", baseline.unigram_nats);
    print_line("bigram (add-one)", baseline.bigram_nats);
}

// Prints the scores of the tasks.
void evaluate_task_files(const EvalArguments& options, const ChosenModel& model, std::unique_ptr<Communicator> world,
                         MpiSession& mpi) {
    const RunConfig& config = model.config.values;
    const std::vector<PreparedTask> tasks = agree(*world, [&] {
        const std::unique_ptr<Tokenizer> tokenizer = open_model_tokenizer(model, "--task");
        return prepare_tasks(read_choice_tasks(options.tasks), *tokenizer, config,
                             model.imported ? std::optional(model.ids) : std::nullopt);
    });
    LoadedModel loaded(model, compute_threads(config.compute.threads, mpi), std::move(world), mpi);
    const std::vector<TaskMetrics> scores =
        score_tasks(*loaded.replica, loaded.mesh, pipeline_shape(config, loaded.mesh.size), tasks);
    if (loaded.mesh.world->rank() != 0) return;
    std::printf("%s\n", model.file.c_str());
    for (const TaskMetrics& task : scores)
        std::printf("%s\n", fmt::format("{:<22} {}", task.task, task_text(task)).c_str());
}

void run(const EvalArguments& options, MpiSession& mpi) {
    std::unique_ptr<Communicator> world = mpi.world();
    const ChosenModel model = choose_model(*world, *options.model);
    if (options.tasks.empty()) return evaluate_loss(options, model, std::move(world), mpi);
    evaluate_task_files(options, model, std::move(world), mpi);
}

}  // namespace

void add_eval(CLI::App& app, Chosen& chosen) {
    auto options = std::make_shared<EvalArguments>();
    CLI::App* command = app.add_subcommand("eval", "Loss of a checkpoint on the held-out data, or its scores in tasks");
    options->model = add_model_argument(*command);
    CLI::Option* all =
        command->add_flag("--all", options->all, "use every validation sample instead of evaluation.samples");
    CLI::Option* paper = command->add_option(
        "--paper", options->paper,
        "also print the loss as the paper's code computes it, for this --batch_size and number of GPUs: 256x1 "
        "(docs/paper.md)");
    CLI::Option* baseline =
        command->add_flag("--baseline", options->baseline,
                          "also print the losses of add-one smoothed unigram and bigram models of the training tokens");
    CLI::Option* without_layer =
        command
            ->add_option_function<std::string>(
                "--without-layer", [options](const std::string& text) { options->without_layer = text; },
                "also print the loss of the model without layer N (from 0); all: without each layer in turn "
                "(docs/layers.md)")
            ->type_name("N|all");
    CLI::Option* angular_distance = command->add_flag(
        "--angular-distance", options->angular_distance,
        "also print the angle, divided by pi, between the residual stream before and after each layer");
    command
        ->add_option("--task", options->tasks,
                     "score this file of multiple-choice questions instead (docs/tasks.md); may be repeated")
        ->allow_extra_args(false)
        ->type_name("FILE")
        ->excludes(all)
        ->excludes(paper)
        ->excludes(baseline)
        ->excludes(without_layer)
        ->excludes(angular_distance);
    command->callback([&chosen, options] { chosen.parallel = [options](MpiSession& mpi) { run(*options, mpi); }; });
}

}  // namespace gpas
