#include "engine/run/generate.hpp"
#include "engine/run/device.hpp"

#include "base/error.hpp"
#include "engine/commands/command.hpp"
#include "engine/commands/model_argument.hpp"
#include "engine/commands/options.hpp"
#include "engine/run/run_state.hpp"
#include "engine/run/threads.hpp"
#include "io/data/tokenizer.hpp"
#include "parallel/mpi/mpi_session.hpp"

#include <cstdio>
#include <iostream>
#include <iterator>

namespace gpas {
namespace {

struct GenerateArguments {
    std::shared_ptr<ModelArgument> model;
    std::string prompt;
    std::int64_t tokens = 128;
    SamplingOptions sampling;
};

void run(const GenerateArguments& options, MpiSession& mpi) {
    const std::unique_ptr<Communicator> world = mpi.world();
    if (world->size() > 1)
        throw AgreedError(
            ExitCode::usage,
            fmt::format("gpas generate runs on one rank, not {}: start it without mpirun or srun", world->size()));
    const ChosenModel model = choose_model(*world, *options.model);
    const RunConfig& config = model.config.values;
    if (config.data.tokenizer.empty())
        fail(ExitCode::usage, "data.tokenizer is not set: `gpas generate` needs the tokenizer of the training data");
    const std::unique_ptr<Tokenizer> opened = open_tokenizer(config.data.tokenizer);
    const Tokenizer& tokenizer = *opened;
    if (tokenizer.vocab_size() > config.model.vocab_size)
        fail(ExitCode::usage,
             "{} has {} pieces, but model.vocab_size is {}; use the tokenizer that the data was prepared with",
             config.data.tokenizer, tokenizer.vocab_size(), config.model.vocab_size);
    if (const std::string found = file_fingerprint(config.data.tokenizer);
        !model.tokenizer_fingerprint.empty() && found != model.tokenizer_fingerprint)
        fail(ExitCode::usage,
             "{} (data.tokenizer) is not the tokenizer that {} was trained with (fingerprint {}, expected {}); set "
             "data.tokenizer to that file",
             config.data.tokenizer, model.file.string(), found, model.tokenizer_fingerprint);

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
    load_run({*world, *world, config, replica.context, replica.store}, model.file, false);

    std::vector<std::int32_t> prompt = tokenizer.encode(options.prompt);
    if (prompt.empty())
        prompt.push_back(tokenizer.eos_id() >= 0 ? tokenizer.eos_id() : 0);  // in training, documents follow an eos
    std::vector<std::int32_t> tokens;
    std::string printed;
    std::fputs(options.prompt.c_str(), stdout);
    generate(replica, prompt, options.tokens, tokenizer.eos_id(), sampling, [&](std::int32_t token) {
        // Several byte tokens can make one character: print it once it is complete.
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
    auto options = std::make_shared<GenerateArguments>();
    CLI::App* command = app.add_subcommand("generate", "Continue a text with a trained model");
    options->model = add_model_argument(*command);
    command->add_option("--prompt", options->prompt, "text to continue; default: start a new document");
    add_integer(*command, "--tokens", options->tokens, {1, 1e9}, "at most this many tokens");
    SamplingOptions& sampling = options->sampling;
    add_real(*command, "--temperature", sampling.temperature, {0, 1e6}, "0: always the most likely token");
    add_integer(*command, "--top-k", sampling.top_k, {0, 1 << 24}, "only the k most likely tokens; 0: all");
    add_real(*command, "--top-p", sampling.top_p, {0, 1}, "only the likeliest tokens of this joint probability");
    add_seed(*command, "--seed", sampling.seed, "of the random choices");
    command->callback([&chosen, options] { chosen.parallel = [options](MpiSession& mpi) { run(*options, mpi); }; });
}

}  // namespace gpas
