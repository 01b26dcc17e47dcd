#include "base/error.hpp"
#include "engine/commands/command.hpp"
#include "engine/commands/model_argument.hpp"
#include "engine/run/device.hpp"
#include "engine/run/evaluate.hpp"
#include "engine/run/paper_evaluation.hpp"
#include "engine/run/run_state.hpp"
#include "engine/run/same_ranks.hpp"
#include "engine/run/threads.hpp"
#include "io/config/check.hpp"
#include "io/data/ngram_baseline.hpp"
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
    std::string paper;  // --paper BATCHxGPUS; empty: option not given
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

void run(const EvalArguments& options, MpiSession& mpi) {
    std::unique_ptr<Communicator> world = mpi.world();
    const auto layout = agree(*world, [&] {
        return options.paper.empty() ? std::optional<PaperLayout>() : parse_paper_layout(options.paper);
    });
    const ChosenModel model = choose_model(*world, *options.model);
    const LoadedConfig& loaded = model.config;
    agree(*world, [&] { check_for_training(loaded); });
    const RunConfig& config = loaded.values;
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
    const MeshSize size = agree(*world, [&] { return mesh_of_ranks(loaded, world->size()); });
    const ChosenDevice device = choose_device(config.compute, mpi, *world);
    Mesh mesh = make_mesh(std::move(world), size, config.parallel.order);
    const ReplicaShape shape = replica_shape(config, mesh.size, mesh.place, threads, false, device.device);
    const std::unique_ptr<Context> context = make_context(shape);
    serve_device(mesh, *context, config.parallel.share_gpu, shape.compute.tensor_overlap);
    Replica replica(shape, *context, *mesh.tensor, *mesh.data);
    load_run({*mesh.world, *mesh.data, config, replica.context, replica.store}, model.file, false);
    const EvaluationResult result =
        evaluate(replica, mesh, pipeline_shape(config, mesh.size), *data.valid, config.data.mask_documents);
    if (result.tokens == 0)
        throw AgreedError(ExitCode::usage, "no validation token has a loss: there is nothing to measure");
    std::optional<PaperEvaluation> paper;
    if (layout)
        paper = evaluate_as_paper(replica, mesh, pipeline_shape(config, mesh.size), *data.valid,
                                  config.data.mask_documents, *layout);
    if (mesh.world->rank() != 0) return;
    std::printf("%s: %lld validation tokens\n", model.file.c_str(), static_cast<long long>(result.tokens));
    print_line("model", result.loss);
    if (paper) print_paper(*paper, *layout);
    if (!options.baseline) return;
    const NgramBaseline baseline = ngram_baseline(data.train, *data.valid, config.model.vocab_size);
    print_line("unigram (add-one)", baseline.unigram_nats);
    print_line("bigram (add-one)", baseline.bigram_nats);
}

}  // namespace

void add_eval(CLI::App& app, Chosen& chosen) {
    auto options = std::make_shared<EvalArguments>();
    CLI::App* command = app.add_subcommand("eval", "Loss and perplexity of a checkpoint on the held-out data");
    options->model = add_model_argument(*command);
    command->add_flag("--all", options->all, "use every validation sample instead of evaluation.samples");
    command->add_option(
        "--paper", options->paper,
        "also print the loss as the paper's code computes it, for this --batch_size and number of GPUs: 256x1 "
        "(docs/paper.md)");
    command->add_flag("--baseline", options->baseline,
                      "also print the losses of add-one smoothed unigram and bigram models of the training tokens");
    command->callback([&chosen, options] { chosen.parallel = [options](MpiSession& mpi) { run(*options, mpi); }; });
}

}  // namespace gpas
