// Command-line arguments that several commands share.
#pragma once

#include "io/config/load.hpp"

#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <vector>

namespace gpas {

// CONFIG... key=value..., in any order.
struct ConfigArgument {
    std::vector<std::string> words;
    LoadedConfig load() const {
        const ConfigArguments split = split_config_arguments(words);
        return load_config(split.files, split.overrides);
    }
};

inline std::shared_ptr<ConfigArgument> add_config_argument(CLI::App& command) {
    auto argument = std::make_shared<ConfigArgument>();
    command
        .add_option("CONFIG", argument->words,
                    "YAML files, later ones over earlier ones, and overrides such as training.steps=100")
        ->required();
    return argument;
}

}  // namespace gpas
