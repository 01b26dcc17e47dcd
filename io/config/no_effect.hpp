// Keys whose value changes nothing in a given configuration. check_config refuses them if they are set to something
// other than their default, so that no setting is ignored in silence.
#pragma once

#include "io/config/run_config.hpp"

#include <string>
#include <vector>

namespace gpas {

struct NoEffect {
    std::string key;
    std::vector<const char*> because_of;  // the keys that make it so
    std::string why;                      // a sentence
    // The run prints it instead: the key describes how weights began that now come from a file, or what is seen of a
    // device that this run does not use.
    bool told = false;
};

// In the order of the schema's sections; a key appears once for each reason.
std::vector<NoEffect> keys_without_effect(const RunConfig& run);

// The configuration with those keys at their defaults.
RunConfig without_ineffective_keys(const RunConfig& run);

// "model.init_std = 0.03 has no effect: ...", for each key that has `told` and is not at its default.
std::vector<std::string> lines_about_ineffective_keys(const RunConfig& run);

}  // namespace gpas
