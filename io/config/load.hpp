// From YAML files and key=value overrides to a checked RunConfig.
#pragma once

#include "io/config/place.hpp"
#include "io/config/run_config.hpp"

#include <string>
#include <vector>

namespace gpas {

struct LoadedConfig {
    RunConfig values;
    ConfigPlaces places;  // of the keys that a file or an override sets; the others have their defaults
};

// Later beats earlier: defaults, then each file in order (its `include:` files before its own keys), then the overrides
// ("training.steps=100", the value as YAML). {name}, {architecture} and {seed} in `directory` are filled in, and
// check_config (check.hpp) has passed. Error(usage), one line: "file:line:column: key: found …, expected …; what to
// do".
LoadedConfig load_config(const std::vector<std::string>& files, const std::vector<std::string>& overrides = {});

// The same for one file.
LoadedConfig load_config(const std::string& file, const std::vector<std::string>& overrides = {});

// The same for a text, such as the resolved configuration in a checkpoint; `origin` names it in messages. No includes.
LoadedConfig load_config_text(const std::string& text, const std::string& origin,
                              const std::vector<std::string>& overrides = {});

// The configuration that `file` holds, written by `software` ("gpas 1.0"): keys that its version did not have take
// their defaults, and so do keys without effect, which earlier versions accepted. Contradictions are not looked for.
// Error(usage) names the key if this version does not know it or its value, and the version that wrote it.
RunConfig stored_config(const std::string& text, const std::string& file, const std::string& software);

// `gpas train a.yaml b.yaml training.steps=100`: what has a '=' and no '/' before it is an override.
struct ConfigArguments {
    std::vector<std::string> files;
    std::vector<std::string> overrides;
};
ConfigArguments split_config_arguments(const std::vector<std::string>& arguments);

}  // namespace gpas
