#include "engine/convert/convert.hpp"

#include "base/error.hpp"
#include "engine/commands/command.hpp"
#include "engine/commands/options.hpp"
#include "engine/run/threads.hpp"
#include "io/checkpoint/checkpoint.hpp"
#include "parallel/agree.hpp"
#include "parallel/mpi/mpi_session.hpp"

#include <CLI/CLI.hpp>

#include <map>
#include <memory>

namespace gpas {
namespace {

namespace fs = std::filesystem;

enum class Kind { checkpoint, hugging_face };

struct Source {
    Kind kind = Kind::checkpoint;
    fs::path path;
};

[[noreturn]] void refuse(const fs::path& path, const std::string& why) {
    fail(ExitCode::usage, "{}: {}", path.string(), why);
}

// Refuses known formats of other programs, with advice on how to convert them.
void refuse_known(const fs::path& path) {
    const std::string extension = path.extension().string();
    if (fs::exists(path / "latest_checkpointed_iteration.txt") || path.filename().string().starts_with("mp_rank_") ||
        extension == ".pt" || extension == ".pth" || extension == ".ckpt")
        refuse(path,
               "is pickled (Megatron-LM, torchtitan, PyTorch): reading it runs the code in it, so it is not read; "
               "convert it to Hugging Face's format with the tool that wrote it, then from there");
    if (fs::exists(path / "model_config.json") || fs::exists(path / "model" / "model"))
        refuse(path,
               "is a checkpoint of nanotron: convert it to Hugging Face's format with its "
               "examples/llama/convert_nanotron_to_hf.py, then from there");
    if (extension == ".bin")
        refuse(path, "llm.c's files hold GPT-2 (learned positions, LayerNorm, biases), which gpas does not support");
}

Source source_of(const fs::path& path, std::vector<std::string>& notes) {
    if (!fs::exists(path)) refuse(path, "no such file or directory");
    if (fs::exists(path / "config.json")) return {Kind::hugging_face, path};
    if (fs::is_regular_file(path) && path.extension() == ".h5") return {Kind::checkpoint, path};
    if (fs::is_directory(path))
        for (const fs::path& directory : {path, path / "checkpoints"})
            if (const auto newest = newest_complete(directory, &notes)) return {Kind::checkpoint, *newest};
    refuse_known(path);
    refuse(path,
           "found neither a checkpoint of gpas (step_….h5, or the directory of a run) nor a Hugging Face model (a "
           "directory with config.json)");
}

struct ConvertArguments {
    ConvertOptions convert;
    double shard_gb = 5.0;
};

void run(const ConvertArguments& options, MpiSession& mpi) {
    const std::unique_ptr<Communicator> world = mpi.world();
    ConvertOptions convert = options.convert;
    std::vector<std::string> notes;  // checkpoints that were passed over
    const Source source = agree(*world, [&] { return source_of(convert.source, notes); });
    convert.source = source.path;
    convert.shard_bytes = std::int64_t(options.shard_gb * 1e9);
    convert.threads = compute_threads(0, mpi);
    convert.say = [&](const std::string& line) {
        if (world->rank() == 0) fmt::print(stderr, "gpas: {}\n", line);
    };
    for (const std::string& note : notes) convert.say(note);
    agree(*world, [&] {
        if (source.kind == Kind::hugging_face && convert.fold_gates)
            fail(ExitCode::usage, "--fold-gates is for exports; {} is imported", convert.source.string());
        if (source.kind == Kind::checkpoint && !convert.architecture.empty())
            fail(ExitCode::usage, "--architecture is for imports; {} names its own architecture",
                 convert.source.string());
        if (source.kind == Kind::checkpoint && convert.post_layers >= 0)
            fail(ExitCode::usage, "--mix-post-layers is for imports; {} has its own value", convert.source.string());
    });
    source.kind == Kind::hugging_face ? import_hugging_face(*world, convert) : export_hugging_face(*world, convert);
}

}  // namespace

void add_convert(CLI::App& app, Chosen& chosen) {
    auto options = std::make_shared<ConvertArguments>();
    ConvertOptions& convert = options->convert;
    CLI::App* command = app.add_subcommand(
        "convert", "Convert a checkpoint to a Hugging Face model, or a Hugging Face model to a checkpoint");
    command
        ->add_option(
            "SOURCE", convert.source,
            "a checkpoint, the directory of a run (its newest checkpoint), or a Hugging Face model's directory")
        ->required();
    command->add_option("TARGET", convert.target, "a new directory")->required();
    add_choice<StoredDtype>(*command, "--dtype", convert.dtype,
                            {{"bf16", StoredDtype::bf16}, {"fp16", StoredDtype::fp16}, {"fp32", StoredDtype::fp32}},
                            "type of exported weights: bf16, fp16 or fp32 (checkpoints hold fp32)");
    command->add_flag("--fold-gates", convert.fold_gates,
                      "export a gated Pre-LN or LNS model as a plain LLaMA that computes the same");
    add_real(*command, "--shard-gb", options->shard_gb, {1e-9, 1e6}, "largest file of exported weights, in 10^9 bytes");
    command->add_option("--tokenizer", convert.tokenizer,
                        "tokenizer's file; default: the tokenizer of the source; none: no tokenizer");
    command->add_option(
        "--architecture", convert.architecture,
        "architecture of a model imported from the GPAS paper's code, if config.json lacks it: pre_gpas, …");
    add_integer(*command, "--mix-post-layers", convert.post_layers, {0, 10000},
                "number of Post-LN layers of a Mix-LN model imported from the GPAS paper's code")
        ->default_str("a quarter");
    command->add_flag("!--no-logits", convert.logits,
                      "do not compare logits of source and result (comparing needs the model's size in memory)");
    command->add_option("--tokens", convert.tokens, "token files (prefix) for the logits; default: the run's");
    command->callback([&chosen, options] { chosen.parallel = [options](MpiSession& mpi) { run(*options, mpi); }; });
}

}  // namespace gpas
