#include "io/checkpoint/inspect.hpp"

#include "base/error.hpp"
#include "engine/commands/command.hpp"
#include "io/checkpoint/branch.hpp"
#include "io/checkpoint/checkpoint.hpp"

#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <span>
#include <vector>

namespace gpas {
namespace {

struct InspectArguments {
    std::string path;
    std::string other;
    InspectOptions inspect;
};

// The checkpoint directory for this path: `checkpoints` in it if that exists (a run's directory), else the path.
std::filesystem::path checkpoints_of(const std::filesystem::path& path) {
    return std::filesystem::is_directory(path / "checkpoints") ? path / "checkpoints" : path;
}

// The file itself; for a run or checkpoint directory, the newest complete checkpoint of its current branch.
std::filesystem::path checkpoint_of(const std::string& path) {
    if (!std::filesystem::is_directory(path)) return path;
    std::vector<std::string> notes;
    const auto newest = newest_complete(checkpoints_of(path), &notes);
    for (const std::string& note : notes) fmt::print(stderr, "gpas: {}\n", note);
    if (newest) return *newest;
    fail(ExitCode::bad_file, "{}: no complete checkpoint in this directory, nor in its `checkpoints`", path);
}

std::string steps_text(std::span<const std::int64_t> steps) {
    if (steps.empty()) return "no checkpoint";
    constexpr std::size_t most = 12;
    const std::size_t shown = std::min(steps.size(), most);
    return fmt::format("{} checkpoint(s), {}step {}", steps.size(), steps.size() > most ? "the newest of them: " : "",
                       fmt::join(steps.last(shown), ", "));
}

// Prints the run's branches: the steps of the current branch, and of those that were set aside.
void print_branches(const std::string& path) {
    if (!std::filesystem::is_directory(path)) return;
    const std::filesystem::path directory = checkpoints_of(path);
    std::vector<std::int64_t> steps = current_steps(directory);
    std::ranges::reverse(steps);
    fmt::print("{:<22} {}: {}\n", "current branch", directory.string(), steps_text(steps));
    for (const SetAside& aside : list_set_aside(directory))
        fmt::print("{:<22} {}: {}; {}\n", "set aside", aside.directory.string(), steps_text(aside.steps), aside.why);
}

void run(const InspectArguments& options) {
    if (options.other.empty()) print_branches(options.path);
    const InspectReport report =
        options.other.empty()
            ? inspect_report(checkpoint_of(options.path), options.inspect)
            : InspectReport{.text = difference_report(checkpoint_of(options.path), checkpoint_of(options.other))};
    std::fwrite(report.text.data(), 1, report.text.size(), stdout);
    if (!report.damage.empty()) fail(ExitCode::bad_file, "{}", report.damage);
}

}  // namespace

void add_inspect(CLI::App& app, Chosen& chosen) {
    auto options = std::make_shared<InspectArguments>();
    CLI::App* command =
        app.add_subcommand("inspect", "Show the contents of a checkpoint, or the differences between two checkpoints");
    command
        ->add_option("CHECKPOINT", options->path,
                     "a checkpoint, or the directory of a run: its newest checkpoint and its branches")
        ->required();
    command->add_option("OTHER", options->other, "second checkpoint: print the differences");
    command->add_flag("--verify", options->inspect.verify, "check every block against its checksum");
    command->add_flag("--config", options->inspect.config, "print the stored configuration");
    command->add_flag("!--no-statistics", options->inspect.statistics,
                      "do not read the tensors (no mean, minimum and maximum)");
    command->callback([&chosen, options] { chosen.alone = [options] { run(*options); }; });
}

}  // namespace gpas
