// Command-line options whose values are checked before a command runs: numbers in a range, and names from a list. The
// help shows their defaults.
#pragma once

#include "io/config/schema.hpp"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gpas {

// target: on entry the default; parsing writes the option's value (=). Values are written as in a configuration file:
// 1000, 1_000 or 1e3. Parsing refuses NaN, Inf, fractions (for integers) and values outside the range, with one line
// that names the option, the value found and the values expected.
CLI::Option* add_integer(CLI::App& command, const std::string& name, std::int64_t& target, ValueRange range,
                         const std::string& help);
CLI::Option* add_real(CLI::App& command, const std::string& name, double& target, ValueRange range,
                      const std::string& help);
// Any 64-bit unsigned number.
CLI::Option* add_seed(CLI::App& command, const std::string& name, std::uint64_t& target, const std::string& help);

// An option whose value is one of the names in `choices`. Target: Enum or std::optional<Enum>.
template <class Enum, class Target>
CLI::Option* add_choice(CLI::App& command, const std::string& name, Target& target,
                        const std::vector<std::pair<std::string, Enum>>& choices, const std::string& help) {
    std::string names;
    std::string now;
    for (const auto& [text, value] : choices) {
        names += (names.empty() ? "" : ", ") + text;
        if (value == target) now = text;
    }
    const auto set = [&target, choices, names, name](const std::string& found) {
        for (const auto& [text, value] : choices) {
            if (text != found) continue;
            target = value;
            return;
        }
        throw CLI::ValidationError(name, "found '" + found + "', expected one of " + names);
    };
    return command.add_option_function<std::string>(name, set, help)->type_name("NAME")->default_str(now);
}

}  // namespace gpas
