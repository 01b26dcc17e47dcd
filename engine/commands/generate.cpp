#include "engine/training/generate.hpp"
#include "engine/training/device.hpp"

#include "engine/commands/arguments.hpp"
#include "engine/commands/command.hpp"
#include "engine/training/run_state.hpp"
#include "engine/training/threads.hpp"
#include "io/data/tokenizer.hpp"
#include "kernels/error.hpp"

#include <cstdio>
#include <iostream>
#include <iterator>

namespace gpas {
namespace {

struct Options {
    std::shared_ptr<ConfigArgument> config;
    std::string checkpoint = "auto";
    std::string prompt;
    std::int64_t tokens = 128;
    SamplingOptions sampling;
};

void run(const Options& options, MpiSession& mpi) {
    const std::unique_ptr<Communicator> world = mpi.world();
    if (world->size() > 1)
        throw AgreedError(
            ExitCode::usage,
            fmt::format("gpas generate runs on one rank, not {}: start it without mpirun or srun", world->size()));
    RunConfig config = options.config->load().values;
    config.checkpoint.resume = options.checkpoint;
    std::vector<std::string> notes;  // of rank 0: checkpoints that were passed over
    const auto file = find_checkpoint(*world, config, &notes);
    for (const std::string& note : notes) fmt::print(stderr, "gpas: {}\n", note);
    if (!file)
        fail(ExitCode::bad_file, "{}: no complete checkpoint; train first, or name one with --checkpoint",
             checkpoint_directory(config).string());
    if (config.data.tokenizer.empty())
        fail(ExitCode::usage,
             "data.tokenizer is not set: `gpas generate` needs the SentencePiece model of the training data");
    const Tokenizer tokenizer(config.data.tokenizer);
    if (tokenizer.vocab_size() > config.model.vocab_size)
        fail(ExitCode::usage,
             "{} has {} pieces, but model.vocab_size is {}; use the tokenizer that the data was prepared with",
             config.data.tokenizer, tokenizer.vocab_size(), config.model.vocab_size);

    SamplingOptions sampling = options.sampling;
    sampling.vocab_size = tokenizer.vocab_size();

    ReplicaShape shape = whole_replica(config.model, config.optimizer,
                                       {.batch = 1,
                                        .sequence = config.data.sequence_length,
                                        .dtype = storage_dtype(config.compute.dtype),
                                        .training = false},
                                       compute_threads(config.compute.threads, mpi));
    place_on(shape, choose_device(config.compute, mpi, *world).device);
    Replica replica(shape, *world, *world);
    load_run(*world, *world, config, replica.context, *file, replica.store, false);

    std::vector<std::int32_t> prompt = tokenizer.encode(options.prompt);
    if (prompt.empty())
        prompt.push_back(tokenizer.eos_id() >= 0 ? tokenizer.eos_id() : 0);  // a document begins after one
    std::vector<std::int32_t> tokens;
    std::string printed;
    std::fputs(options.prompt.c_str(), stdout);
    generate(replica, prompt, options.tokens, tokenizer.eos_id(), sampling, [&](std::int32_t token) {
        // A character may be made of several byte tokens: it is printed when the last of them has come.
        tokens.push_back(token);
        const std::string text = tokenizer.decode(tokens);
        if (text.size() <= printed.size() || text.ends_with("\uFFFD")) return;
        std::fwrite(text.data() + printed.size(), 1, text.size() - printed.size(), stdout);
        std::fflush(stdout);
        printed = text;
    });
    std::fputs("\n", stdout);
}

}  // namespace

void add_generate(CLI::App& app, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("generate", "Continue a text with a trained model");
    options->config = add_config_argument(*command);
    command->add_option("--checkpoint", options->checkpoint, "a file, or auto: the newest complete one of the run");
    command->add_option("--prompt", options->prompt, "the text to continue; without it a new document is begun");
    command->add_option("--tokens", options->tokens, "at most this many tokens")->check(CLI::PositiveNumber);
    command->add_option("--temperature", options->sampling.temperature, "0: always the most likely token")
        ->check(CLI::NonNegativeNumber);
    command->add_option("--top-k", options->sampling.top_k, "only the k most likely tokens; 0: all")
        ->check(CLI::NonNegativeNumber);
    command->add_option("--top-p", options->sampling.top_p, "only the likeliest tokens of this joint probability")
        ->check(CLI::Range(0.0, 1.0));
    command->add_option("--seed", options->sampling.seed, "of the random choices");
    command->callback([&chosen, options] { chosen.parallel = [options](MpiSession& mpi) { run(*options, mpi); }; });
}

}  // namespace gpas
