#include "io/checkpoint/inspect.hpp"

#include "engine/commands/command.hpp"
#include "io/checkpoint/checkpoint.hpp"
#include "kernels/error.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <memory>
#include <vector>

namespace gpas {
namespace {

struct Options {
    std::string path;
    std::string other;
    InspectOptions inspect;
};

// A run or checkpoint directory stands for the newest complete checkpoint in it.
std::filesystem::path checkpoint_of(const std::string& path) {
    if (!std::filesystem::is_directory(path)) return path;
    for (const std::filesystem::path& directory :
         {std::filesystem::path(path), std::filesystem::path(path) / "checkpoints"})
        if (const auto newest = newest_complete(directory)) return *newest;
    fail(ExitCode::bad_file, "{}: no complete checkpoint in this directory, nor in its `checkpoints`", path);
}

void run(const Options& options) {
    const InspectReport report =
        options.other.empty()
            ? inspect_report(checkpoint_of(options.path), options.inspect)
            : InspectReport{.text = difference_report(checkpoint_of(options.path), checkpoint_of(options.other))};
    std::fwrite(report.text.data(), 1, report.text.size(), stdout);
    if (!report.damage.empty()) fail(ExitCode::bad_file, "{}", report.damage);
}

}  // namespace

void add_inspect(CLI::App& app, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("inspect", "Show what is in a checkpoint, or how two of them differ");
    command->add_option("CHECKPOINT", options->path, "a checkpoint, or the directory of a run: its newest one")
        ->required();
    command->add_option("OTHER", options->other, "a second one: print the differences");
    command->add_flag("--verify", options->inspect.verify, "check every block against its checksum");
    command->add_flag("--config", options->inspect.config, "print the stored configuration");
    command->add_flag("!--no-statistics", options->inspect.statistics, "do not read the tensors");
    command->callback([&chosen, options] { chosen.alone = [options] { run(*options); }; });
}

}  // namespace gpas
