// `gpas top`: shows the state of a run, read from its files only, and refreshes it periodically.
#include "base/error.hpp"
#include "base/wall_clock.hpp"
#include "engine/commands/command.hpp"
#include "engine/commands/options.hpp"
#include "engine/commands/terminal.hpp"
#include "engine/commands/top_screen.hpp"
#include "engine/model/parameters.hpp"
#include "io/config/document.hpp"
#include "io/config/load.hpp"
#include "io/metrics/run_view.hpp"

#include <unistd.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace gpas {
namespace {

struct TopArguments {
    std::vector<std::string> words;
    double interval = 2.0;
    bool once = false;
};

std::filesystem::path directory_of(const std::vector<std::string>& words) {
    const std::filesystem::path first(words[0]);
    if (words.size() == 1 && std::filesystem::is_directory(first)) return first;
    if (words.size() == 1 && !std::filesystem::exists(first))
        fail(ExitCode::bad_file, "{}: no such file or directory; expected the directory of a run, or its configuration",
             words[0]);
    const ConfigArguments split = split_config_arguments(words);
    return load_config(split.files, split.overrides).values.directory;
}

// The model's number of parameters; -1 if there is no config.yaml, or if this version cannot read it.
std::int64_t parameters_of(const std::filesystem::path& directory) {
    try {
        const std::filesystem::path file = directory / "config.yaml";
        if (!std::filesystem::exists(file)) return -1;
        return parameter_count(stored_config(read_config_file(file.string()), file.string(), "").model);
    } catch (const Error&) {
        return -1;
    }
}

bool is_set(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr && *value != '\0';
}

ScreenOptions screen_options(std::int64_t parameters, bool color) {
    const TerminalSize size = terminal_size();
    return {.columns = size.columns,
            .rows = size.rows,
            .color = color,
            .now = seconds_since_1970(),
            .parameters = parameters};
}

void print_once(RunReader& reader, std::int64_t parameters) {
    const ScreenOptions options = screen_options(parameters, false);
    for (const std::string& line : top_screen(reader.read(options.now), options)) std::printf("%s\n", line.c_str());
    if (std::fflush(stdout) != 0) fail(ExitCode::environment, "writing to stdout failed");
}

void watch(RunReader& reader, std::int64_t parameters, double interval) {
    const bool color = !is_set("NO_COLOR");  // https://no-color.org
    Terminal terminal;
    for (;;) {
        const ScreenOptions options = screen_options(parameters, color);
        terminal.draw(top_screen(reader.read(options.now), options));
        const Terminal::Wake wake = terminal.wait(interval);
        const bool quit = wake == Terminal::Wake::key && (terminal.key() == 'q' || terminal.key() == 'Q');
        if (quit || wake == Terminal::Wake::end) return;
    }
}

void run(const TopArguments& options) {
    const std::filesystem::path directory = directory_of(options.words);
    RunReader reader(directory);
    const std::int64_t parameters = parameters_of(directory);
    const char* kind = std::getenv("TERM");
    const bool dumb = kind == nullptr || std::string_view(kind) == "dumb";
    if (options.once || dumb || !isatty(STDOUT_FILENO))
        print_once(reader, parameters);
    else
        watch(reader, parameters, options.interval);
}

}  // namespace

void add_top(CLI::App& app, Chosen& chosen) {
    auto options = std::make_shared<TopArguments>();
    CLI::App* command =
        app.add_subcommand("top", "Watch a run through its files: progress, loss, speed, state of each rank");
    command
        ->add_option("RUN", options->words,
                     "directory of a run, or its configuration (YAML files and overrides), which names the directory")
        ->required();
    add_real(*command, "--interval", options->interval, {0.1, 3600}, "seconds between frames");
    command->add_flag("--once", options->once,
                      "print one frame as plain text; the default if stdout is not a terminal");
    command->footer("q or Ctrl-C ends it.");
    command->callback([&chosen, options] { chosen.alone = [options] { run(*options); }; });
}

}  // namespace gpas
