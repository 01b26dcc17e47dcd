// Generates the man page and shell completions from the parser's options, so that they list every option.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace gpas {

std::string man_page(const CLI::App& app);         // roff, section 1
std::string bash_completion(const CLI::App& app);  // for share/bash-completion/completions/gpas
std::string zsh_completion(const CLI::App& app);   // for share/zsh/site-functions/_gpas
std::string fish_completion(const CLI::App& app);  // for share/fish/vendor_completions.d/gpas.fish

// Adds `gpas help-files man|bash|zsh|fish`, which --help does not show. The build installs its output.
struct Chosen;
void add_help_files(CLI::App& app, Chosen& chosen);

}  // namespace gpas
