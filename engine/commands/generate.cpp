#include "engine/run/generate.hpp"

#include "base/error.hpp"
#include "engine/commands/chat_template.hpp"
#include "engine/commands/command.hpp"
#include "engine/commands/model_argument.hpp"
#include "engine/commands/options.hpp"
#include "engine/commands/prompts.hpp"
#include "engine/commands/text_stream.hpp"
#include "engine/run/device.hpp"
#include "engine/run/run_state.hpp"
#include "engine/run/threads.hpp"
#include "io/config/check.hpp"
#include "parallel/agree.hpp"
#include "parallel/mpi/mpi_session.hpp"

#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <optional>

namespace gpas {
namespace {

struct GenerateArguments {
    std::shared_ptr<ModelArgument> model;
    std::string prompt;
    std::string prompts;  // a file; empty: `prompt` is the only prompt
    bool chat = false;
    bool converses = false;  // with `chat`, without a prompt: the user's messages come from standard input
    std::string system;
    std::int64_t batch = 8;
    std::int64_t tokens = 128;
    SamplingOptions sampling;
};

// One rank has the whole model, whatever the layout of training was.
MeshSize mesh_for_generation(LoadedConfig& config, int ranks) {
    ParallelConfig& parallel = config.values.parallel;
    if (ranks == 1) {
        parallel.tensor = parallel.pipeline = parallel.virtual_chunks = 1;
        parallel.stage_layers.clear();
        return {};
    }
    const MeshSize size = mesh_of_ranks(config, ranks);
    if (size.data > 1)
        fail(ExitCode::usage,
             "gpas generate was started on {} ranks, expected parallel.tensor x parallel.pipeline = {} ranks, or one",
             ranks, size.tensor * size.pipeline);
    return size;
}

// What the model continues: the prompt, after BOS if the model was trained so. An empty prompt begins a document.
Prompt tokens_of(const std::string& text, const Tokenizer& tokenizer, const TokenIds& ids) {
    Prompt tokens;
    if (ids.add_bos) tokens.push_back(std::int32_t(ids.bos));
    tokenizer.encode(text, tokens);
    // In training, a document follows an EOS.
    if (tokens.empty()) tokens.push_back(std::max(tokenizer.eos_id(), 0));
    return tokens;
}

std::vector<std::int32_t> ends_of(const Tokenizer& tokenizer, const TokenIds& ids) {
    std::vector<std::int32_t> ends(ids.eos.begin(), ids.eos.end());
    if (tokenizer.eos_id() >= 0) ends.push_back(tokenizer.eos_id());
    return ends;
}

// The value of body() on rank 0: standard input and python3 are rank 0's. An error of body() is thrown on every rank.
template <class Body>
auto from_rank_0(Communicator& world, Body&& body) {
    using Value = decltype(body());
    const nlohmann::json value = agree(world, [&] { return world.rank() == 0 ? body() : Value(); });
    std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    broadcast(world, text, 0, "texts");
    return nlohmann::json::parse(text).get<Value>();
}

Conversation begun(const std::string& system) {
    return system.empty() ? Conversation{} : Conversation{{"system", system}};
}

void write(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

// Prints the new text while it is generated, and returns it.
std::string print_text(NextLogits& next, const Prompt& prompt, const Tokenizer& tokenizer, GenerationOptions options) {
    TextStream stream(tokenizer, prompt);
    const bool prints = next.mesh().world->rank() == 0;
    std::string whole;
    const auto print = [&](const std::string& text) {
        whole += text;
        if (prints) write(text);
    };
    options.on_token = [&](std::size_t, std::int32_t token) { print(stream.add(token)); };
    generate(next, {prompt}, options);
    print(stream.rest());
    if (prints) write("\n");
    return whole;
}

// Answers each line of standard input, with the conversation so far as the prompt.
void converse(NextLogits& next, const ChatTemplate& chat, const std::string& system, const Tokenizer& tokenizer,
              const GenerationOptions& options) {
    Communicator& world = *next.mesh().world;
    Conversation conversation = begun(system);
    while (true) {
        const auto lines = from_rank_0(world, [&] {
            if (isatty(STDIN_FILENO)) write("> ");
            std::string line;
            return std::getline(std::cin, line) ? std::vector{line} : std::vector<std::string>();
        });
        if (lines.empty()) return;
        conversation.push_back({"user", lines[0]});
        const auto text = from_rank_0(world, [&] { return chat.texts_of({conversation}); });
        const std::string answer = print_text(next, tokens_of(text[0], tokenizer, {}), tokenizer, options);
        conversation.push_back({"assistant", answer});
    }
}

// Prints a JSON line per prompt: {"prompt": ..., "text": ..., "tokens": [...]}. The last batch is filled with copies of
// its last prompt.
void print_lines(NextLogits& next, const std::vector<std::string>& texts, const std::vector<Prompt>& prompts,
                 const Tokenizer& tokenizer, GenerationOptions options) {
    const std::size_t batch = std::size_t(next.batch());
    for (std::size_t begin = 0; begin < texts.size(); begin += batch) {
        const std::size_t end = std::min(begin + batch, texts.size());
        std::vector<Prompt> some(prompts.begin() + std::ptrdiff_t(begin), prompts.begin() + std::ptrdiff_t(end));
        some.resize(batch, some.back());
        options.first = begin;
        const auto written = generate(next, some, options);
        if (next.mesh().world->rank() != 0) continue;
        for (std::size_t i = begin; i < end; ++i) {
            TextStream stream(tokenizer, prompts[i]);
            std::string text;
            for (const std::int32_t token : written[i - begin]) text += stream.add(token);
            const nlohmann::ordered_json line{
                {"prompt", texts[i]}, {"text", text + stream.rest()}, {"tokens", written[i - begin]}};
            write(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
        }
    }
}

// What the model continues. A chat template writes BOS itself.
std::vector<Prompt> prompts_of(Communicator& world, const std::vector<std::string>& texts,
                               const std::optional<ChatTemplate>& chat, const std::string& system,
                               const Tokenizer& tokenizer, const TokenIds& ids) {
    std::vector<Conversation> conversations(texts.size(), begun(system));
    for (std::size_t i = 0; i < texts.size(); ++i) conversations[i].push_back({"user", texts[i]});
    const auto given = chat ? from_rank_0(world, [&] { return chat->texts_of(conversations); }) : texts;
    std::vector<Prompt> prompts;
    for (const std::string& text : given) prompts.push_back(tokens_of(text, tokenizer, chat ? TokenIds() : ids));
    return prompts;
}

void run(const GenerateArguments& options, MpiSession& mpi) {
    std::unique_ptr<Communicator> world = mpi.world();
    ChosenModel model = choose_model(*world, *options.model);
    const MeshSize size = agree(*world, [&] { return mesh_for_generation(model.config, world->size()); });
    const RunConfig& config = model.config.values;
    const std::unique_ptr<Tokenizer> tokenizer =
        agree(*world, [&] { return open_model_tokenizer(model, "`gpas generate`"); });
    const auto chat = agree(*world, [&] {
        return options.chat ? std::optional(ChatTemplate(config.data.tokenizer, *tokenizer)) : std::nullopt;
    });
    const bool lines = !options.prompts.empty();
    const std::vector<std::string> texts =
        from_rank_0(*world, [&] { return lines ? read_prompts(options.prompts) : std::vector{options.prompt}; });
    const std::vector<Prompt> prompts = prompts_of(*world, texts, chat, options.system, *tokenizer, model.ids);

    const ChosenDevice device = choose_device(config.compute, mpi, *world);
    Mesh mesh = make_mesh(std::move(world), size, config.parallel.order);
    const std::int64_t batch = std::min(options.batch, std::int64_t(texts.size()));
    const ReplicaShape shape =
        generation_shape(config, size, mesh.place, batch, compute_threads(config.compute.threads, mpi), device.device);
    agree(*mesh.world, [&] { check_device(config.model, shape.compute, device.device); });
    const std::unique_ptr<Context> context = make_context(shape);
    serve_device(mesh, *context, config.parallel.share_gpu);
    Replica replica(shape, *context, *mesh.tensor, *mesh.data);
    load_run({*mesh.world, *mesh.data, config, replica.context, replica.store}, model.file, false);

    NextLogits next(replica, mesh);
    GenerationOptions generation{
        .count = options.tokens, .ends = ends_of(*tokenizer, model.ids), .sampling = options.sampling, .on_token = {}};
    generation.sampling.vocab_size = tokenizer->vocab_size();
    if (lines)
        print_lines(next, texts, prompts, *tokenizer, generation);
    else if (options.converses)
        converse(next, *chat, options.system, *tokenizer, generation);
    else {
        if (mesh.world->rank() == 0 && !chat) write(texts[0]);
        print_text(next, prompts[0], *tokenizer, generation);
    }
}

}  // namespace

void add_generate(CLI::App& app, Chosen& chosen) {
    auto options = std::make_shared<GenerateArguments>();
    CLI::App* command = app.add_subcommand("generate", "Continue texts with a trained model");
    options->model = add_model_argument(*command);
    CLI::Option* prompt =
        command->add_option("--prompt", options->prompt, "text to continue; default: start a new document");
    command
        ->add_option(
            "--prompts", options->prompts,
            "continue many texts: JSON lines {\"prompt\": \"...\"}, or - for standard input; prints JSON lines "
            "with the prompt and the generated text")
        ->excludes(prompt);
    CLI::Option* chat = command->add_flag(
        "--chat", options->chat,
        "the prompts are messages of a user: apply the chat template of the model's tokenizer; without prompts, hold a "
        "conversation on standard input");
    command->add_option("--system", options->system, "the system message of the conversation")->needs(chat);
    add_integer(*command, "--batch", options->batch, {1, 256}, "with --prompts: number of texts to continue together");
    add_integer(*command, "--tokens", options->tokens, {1, 1e9}, "generate at most this number of tokens per text");
    SamplingOptions& sampling = options->sampling;
    add_real(*command, "--temperature", sampling.temperature, {0, 1e6}, "0: always the most likely token");
    add_integer(*command, "--top-k", sampling.top_k, {0, 1 << 24}, "only the k most likely tokens; 0: all");
    add_real(*command, "--top-p", sampling.top_p, {0, 1}, "only the likeliest tokens of this joint probability");
    add_seed(*command, "--seed", sampling.seed, "of the random choices");
    command->callback([&chosen, options, prompt] {
        options->converses = options->chat && options->prompts.empty() && prompt->count() == 0;
        chosen.parallel = [options](MpiSession& mpi) { run(*options, mpi); };
    });
}

}  // namespace gpas
