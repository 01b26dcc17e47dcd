// Command-line arguments that several commands share.
#pragma once

#include "engine/run/same_run.hpp"
#include "io/config/load.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdio>
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
    // For commands that use the model of the run: load_with_initial_model(). Prints what it takes if `prints`.
    LoadedConfig load_with_model(bool prints) const {
        const ConfigArguments split = split_config_arguments(words);
        std::vector<std::string> lines;
        LoadedConfig config = load_with_initial_model(split.files, split.overrides, lines);
        for (const std::string& line : lines)
            if (prints) fmt::print(stderr, "gpas: {}\n", line);
        return config;
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
