#include "engine/commands/model_argument.hpp"

#include "base/error.hpp"
#include "engine/run/run_state.hpp"
#include "engine/run/run_tokenizer.hpp"
#include "engine/run/same_ranks.hpp"
#include "engine/run/same_run.hpp"
#include "io/checkpoint/checkpoint.hpp"
#include "parallel/agree.hpp"

#include <cstdio>

namespace gpas {
namespace {

namespace fs = std::filesystem;

struct Words {
    std::vector<std::string> configs;
    std::vector<std::string> checkpoints;  // files, or directories of runs
    std::vector<std::string> overrides;
};

Words sorted(const ModelArgument& argument) {
    const ConfigArguments split = split_config_arguments(argument.words);
    Words words{.configs = {}, .checkpoints = {}, .overrides = split.overrides};
    for (const std::string& file : split.files) {
        const bool is_checkpoint = fs::is_directory(file) || fs::path(file).extension() == ".h5";
        (is_checkpoint ? words.checkpoints : words.configs).push_back(file);
    }
    if (argument.checkpoint != "auto") words.checkpoints.push_back(argument.checkpoint);
    if (words.checkpoints.size() > 1)
        fail(ExitCode::usage, "found two checkpoints, {} and {}, expected one", words.checkpoints[0],
             words.checkpoints[1]);
    return words;
}

// The file itself; for a directory, the newest complete checkpoint of its current branch.
fs::path checkpoint_at(const fs::path& path, std::vector<std::string>& notes) {
    if (!fs::is_directory(path)) return path;
    const fs::path inside = path / "checkpoints";
    if (const auto newest = newest_complete(fs::is_directory(inside) ? inside : path, &notes)) return *newest;
    fail(ExitCode::bad_file, "{}: no complete checkpoint in this directory, nor in its `checkpoints`", path.string());
}

}  // namespace

std::shared_ptr<ModelArgument> add_model_argument(CLI::App& command) {
    auto argument = std::make_shared<ModelArgument>();
    command
        .add_option("MODEL", argument->words,
                    "YAML files of the run, or its directory, or one of its checkpoints; and overrides such as "
                    "compute.threads=2")
        ->required();
    command
        .add_option(
            "--checkpoint", argument->checkpoint,
            "a checkpoint or the directory of a run; auto: the newest complete checkpoint of the configuration's "
            "run")
        ->capture_default_str();
    return argument;
}

ChosenModel choose_model(Communicator& world, const ModelArgument& argument) {
    const Words words = agree(world, [&] { return sorted(argument); });
    ChosenModel model;
    CheckpointHeader header;
    std::vector<std::string> notes;  // checkpoints that were passed over
    if (words.configs.empty() && !words.checkpoints.empty()) {
        model.config = load_on_all_ranks(world, [&] {
            model.file = checkpoint_at(words.checkpoints[0], notes);
            header = read_header(model.file);
            return config_of(header, model.file, words.overrides);
        });
    } else {
        model.config = load_on_all_ranks(world, [&] {
            std::vector<std::string> taken;  // not printed: take_model returns these lines below
            return load_with_initial_model(words.configs, words.overrides, taken);
        });
        model.config.values.checkpoint.resume = "auto";
        const auto newest =
            words.checkpoints.empty()
                ? find_checkpoint(world, model.config.values, &notes)
                : std::optional(agree(world, [&] { return checkpoint_at(words.checkpoints[0], notes); }));
        if (!newest)
            throw AgreedError(ExitCode::bad_file,
                              fmt::format("{}: no complete checkpoint; train first, or name one with --checkpoint",
                                          checkpoint_directory(model.config.values).string()));
        model.file = *newest;
        header = agree(world, [&] { return read_header(model.file); });
    }
    model.tokenizer_fingerprint = header.tokenizer_fingerprint;
    if (const auto ids = header.extra.find("token_ids"); ids != header.extra.end())
        model.ids = agree(world, [&] { return parse_token_ids(ids->second, model.file.string()); });
    model.imported = header.extra.contains("token_ids");
    const auto take = [&] {
        return take_model(header, model.config, model.file, "name the checkpoint alone, without a configuration");
    };
    for (const std::string& line : agree(world, take)) notes.push_back(line);
    for (const std::string& note : notes)
        if (world.rank() == 0) fmt::print(stderr, "gpas: {}\n", note);
    return model;
}

std::unique_ptr<Tokenizer> open_model_tokenizer(const ChosenModel& model, const std::string& needed_by) {
    const RunConfig& config = model.config.values;
    std::unique_ptr<Tokenizer> tokenizer = open_run_tokenizer(config, needed_by);
    const std::string found = file_fingerprint(config.data.tokenizer);
    if (!model.tokenizer_fingerprint.empty() && found != model.tokenizer_fingerprint)
        fail(ExitCode::usage,
             "{} (data.tokenizer) is not the tokenizer that {} was trained with (fingerprint {}, expected {}); set "
             "data.tokenizer to that file",
             config.data.tokenizer, model.file.string(), found, model.tokenizer_fingerprint);
    return tokenizer;
}

}  // namespace gpas
