#include "base/error.hpp"
#include "engine/commands/arguments.hpp"
#include "engine/commands/command.hpp"
#include "io/config/describe.hpp"

#include <cstdio>

namespace gpas {
namespace {

struct PrintedKeys {
    std::string filter;
    std::vector<std::string> resolved;
    bool markdown = false;
};

void print(const PrintedKeys& options) {
    std::string text;
    if (!options.resolved.empty()) {
        text = dump_config(ConfigArgument{options.resolved}.load());
    } else if (options.markdown) {
        text = describe_schema_as_markdown();
    } else {
        text = describe_schema(options.filter);
        if (text.empty())
            fail(ExitCode::usage, "no configuration key matches '{}'; `gpas config` alone prints all of them",
                 options.filter);
    }
    std::fwrite(text.data(), 1, text.size(), stdout);
}

}  // namespace

void add_config(CLI::App& app, Chosen& chosen) {
    auto options = std::make_shared<PrintedKeys>();
    CLI::App* command = app.add_subcommand("config", "Print every configuration key with type, default and help");
    command->add_option("FILTER", options->filter, "print only keys whose name, help or other name contains this word");
    command->add_option("--resolved", options->resolved,
                        "CONFIG... key=value...: print the resulting configuration and the place that sets each value");
    command->add_flag("--markdown", options->markdown, "print docs/configuration.md");
    command->callback([&chosen, options] { chosen.alone = [options] { print(*options); }; });
}

}  // namespace gpas
