// Reads YAML files and key=value overrides into a checked RunConfig.
#pragma once

#include "io/config/place.hpp"
#include "io/config/run_config.hpp"

#include <functional>
#include <string>
#include <vector>

namespace gpas {

struct LoadedConfig {
    RunConfig values;
    ConfigPlaces places;  // of the keys that a file or an override sets; all other keys have their defaults
};

// Later values override earlier ones: defaults, then each file in order (its `include:` files before its own keys),
// then the overrides ("training.steps=100", the value as YAML). Replaces {name}, {architecture} and {seed} in
// `directory`, calls before_checks if there is one, and calls check_config (check.hpp). Error(usage), one line:
// "file:line:column: key: found …, expected …; what to do".
LoadedConfig load_config(const std::vector<std::string>& files, const std::vector<std::string>& overrides = {},
                         const std::function<void(LoadedConfig&)>& before_checks = {});

// As above, for one file.
LoadedConfig load_config(const std::string& file, const std::vector<std::string>& overrides = {});

// As above, for a text, such as the resolved configuration in a checkpoint. `origin` is its name in messages. The text
// cannot use `include:`.
LoadedConfig load_config_text(const std::string& text, const std::string& origin,
                              const std::vector<std::string>& overrides = {});

// The configuration `text` that is stored in `file` and was written by `software` ("gpas 1.0"). Keys that the writing
// version did not have get their defaults. Keys without effect get their defaults, too, because earlier versions
// accepted them. Contradictions are not checked. Error(usage) if the running version does not know a key or its value;
// the message names the key and the version that wrote it.
RunConfig stored_config(const std::string& text, const std::string& file, const std::string& software);

// `gpas train a.yaml b.yaml training.steps=100`: an argument is an override if it has a '=' and no '/' before the '='.
struct ConfigArguments {
    std::vector<std::string> files;
    std::vector<std::string> overrides;
};
ConfigArguments split_config_arguments(const std::vector<std::string>& arguments);

}  // namespace gpas
