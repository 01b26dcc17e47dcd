#include "engine/commands/help_files.hpp"

#include "base/error.hpp"
#include "engine/commands/command.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <memory>
#include <string_view>
#include <vector>

namespace gpas {
namespace {

// The commands that --help shows.
std::vector<const CLI::App*> commands_of(const CLI::App& app) {
    return app.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
}

// The command's options with a name such as --quick, without positional arguments.
std::vector<const CLI::Option*> options_of(const CLI::App& command) {
    return command.get_options([](const CLI::Option* option) { return !option->get_lnames().empty(); });
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

// Puts `before` in front of each character of `special`, and replaces newlines by spaces.
std::string escaped(std::string_view text, std::string_view special, std::string_view before) {
    std::string result;
    for (const char c : text) {
        if (special.find(c) != std::string_view::npos) result += before;
        result += c == '\n' ? ' ' : c;
    }
    return result;
}

// The text in single quotes for a shell, with newlines replaced by spaces.
std::string shell_quoted(std::string_view text) {
    std::string result = "'";
    for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c == '\n' ? ' ' : c);
    return result + "'";
}

std::string roff(std::string_view text) {
    std::string result;
    for (const char c : text) result += c == '\\' ? "\\e" : c == '-' ? "\\-" : std::string(1, c);
    // roff takes a line that begins with one of these characters as a request.
    if (result.starts_with('.') || result.starts_with('\'')) result.insert(0, "\\&");
    return result;
}

std::string roff_lines(const std::string& text) {
    std::string result;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        result += roff(std::string_view(text).substr(begin, end - begin)) + "\n";
        begin = end + 1;
    }
    return result;
}

std::string roff_option(const CLI::Option& option) {
    std::string names;
    for (const std::string& name : option.get_snames()) names += fmt::format("\\-{}, ", roff(name));
    for (const std::string& name : option.get_lnames()) names += fmt::format("\\-\\-{}, ", roff(name));
    names.resize(names.size() - 2);
    const std::string value = takes_value(option) ? " \\fI" + roff(option.get_type_name()) + "\\fR" : "";
    return fmt::format(".TP\n\\fB{}\\fR{}\n{}", names, value, roff_lines(option.get_description()));
}

std::string roff_command(const CLI::App& command) {
    std::string text = fmt::format(".SS gpas {}\n{}", roff(command.get_name()), roff_lines(command.get_description()));
    for (const CLI::Option* option : command.get_options([](const CLI::Option* o) { return o->get_positional(); }))
        text += fmt::format(".TP\n\\fI{}\\fR\n{}", roff(option->get_name(true)), roff_lines(option->get_description()));
    for (const CLI::Option* option : options_of(command)) text += roff_option(*option);
    return text;
}

}  // namespace

std::string man_page(const CLI::App& app) {
    std::string text = ".TH GPAS 1 \"\" \"gpas " GPAS_VERSION
                       "\"\n.SH NAME\ngpas \\- pretrains language models\n"
                       ".SH SYNOPSIS\n.B gpas\n.I COMMAND\n[\\fIARGUMENT\\fR...]\n.SH DESCRIPTION\n";
    text += roff_lines(app.get_description()) + ".SH OPTIONS\n";
    for (const CLI::Option* option : options_of(app)) text += roff_option(*option);
    text += ".SH COMMANDS\n";
    for (const CLI::App* command : commands_of(app)) text += roff_command(*command);
    return text + ".SH EXIT STATUS\n.nf\n" + roff_lines(app.get_footer()) + ".fi\n";
}

std::string bash_completion(const CLI::App& app) {
    std::string commands, cases;
    for (const CLI::App* command : commands_of(app)) {
        commands += command->get_name() + " ";
        std::string names;
        for (const CLI::Option* option : options_of(*command))
            for (const std::string& name : option->get_lnames()) names += "--" + name + " ";
        cases += fmt::format("        {}) words={} ;;\n", command->get_name(), shell_quoted(names));
    }
    return "# Completion of gpas in bash, written by `gpas help-files bash`.\n"
           "_gpas() {\n    local word=${COMP_WORDS[COMP_CWORD]} words=\n    COMPREPLY=()\n"
           "    if [[ $COMP_CWORD -eq 1 ]]; then\n        words=" +
           shell_quoted(commands + "--help --version") +
           "\n        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n        return\n    fi\n"
           "    case ${COMP_WORDS[1]} in\n" +
           cases +
           "    esac\n    [[ $word != -* ]] || mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
           "}\ncomplete -o default -F _gpas gpas\n";
}

std::string zsh_completion(const CLI::App& app) {
    std::string commands, cases;
    for (const CLI::App* command : commands_of(app)) {
        commands += "        " +
                    shell_quoted(command->get_name() + ":" + escaped(command->get_description(), ":", "\\")) + "\n";
        cases += fmt::format("        {}) _arguments", command->get_name());
        for (const CLI::Option* option : options_of(*command))
            for (const std::string& name : option->get_lnames())
                cases += " \\\n            " +
                         shell_quoted(fmt::format("--{}[{}]{}", name, escaped(option->get_description(), "[]:\\", "\\"),
                                                  takes_value(*option) ? ":value:_files" : ""));
        cases += " \\\n            '*:file:_files' ;;\n";
    }
    return "#compdef gpas\n# Completion of gpas in zsh, written by `gpas help-files zsh`.\n_gpas() {\n    local -a commands\n"
           "    commands=(\n" +
           commands +
           "    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n        return\n    fi\n"
           "    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $command in\n" +
           cases + "    esac\n}\n_gpas \"$@\"\n";
}

std::string fish_completion(const CLI::App& app) {
    std::string text = "# Completion of gpas in fish, written by `gpas help-files fish`.\n";
    for (const CLI::App* command : commands_of(app)) {
        text += fmt::format("complete -c gpas -n __fish_use_subcommand -f -a {} -d {}\n", command->get_name(),
                            shell_quoted(command->get_description()));
        for (const CLI::Option* option : options_of(*command))
            for (const std::string& name : option->get_lnames())
                text += fmt::format("complete -c gpas -n '__fish_seen_subcommand_from {}' -l {}{} -d {}\n",
                                    command->get_name(), name, takes_value(*option) ? " -r" : "",
                                    shell_quoted(option->get_description()));
    }
    return text;
}

void add_help_files(CLI::App& app, Chosen& chosen) {
    auto kind = std::make_shared<std::string>();
    CLI::App* command = app.add_subcommand("help-files", "Print the man page, or the completion of a shell");
    command->group("");
    command->add_option("KIND", *kind, "man, bash, zsh or fish")->required();
    command->callback([&app, &chosen, kind] {
        chosen.alone = [&app, kind] {
            const std::string text = *kind == "man"    ? man_page(app)
                                     : *kind == "bash" ? bash_completion(app)
                                     : *kind == "zsh"  ? zsh_completion(app)
                                     : *kind == "fish" ? fish_completion(app)
                                                       : "";
            if (text.empty())
                fail(ExitCode::usage, "gpas help-files: found '{}', expected man, bash, zsh or fish", *kind);
            std::fwrite(text.data(), 1, text.size(), stdout);
        };
    });
}

}  // namespace gpas
