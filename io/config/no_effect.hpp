// Keys whose value has no effect in a given configuration. check_config refuses such a key if its value differs from
// the default, so that no setting is ignored silently.
#pragma once

#include "io/config/run_config.hpp"

#include <string>
#include <vector>

namespace gpas {

struct NoEffect {
    std::string key;
    std::vector<const char*> because_of;  // the keys whose values take away the effect
    std::string why;                      // the reason, as a sentence
    // True: the run prints the key instead of refusing the configuration. Such a key describes the initialisation of
    // weights that come from a checkpoint, or GPUs that this run does not use.
    bool warned = false;
};

// In the order of the schema's sections. A key appears once per reason.
std::vector<NoEffect> keys_without_effect(const RunConfig& run);

// `run` with its keys without effect, except those with `warned`, at their defaults.
RunConfig without_ineffective_keys(const RunConfig& run);

// "model.init_std = 0.03 has no effect: ...", for each key with `warned` whose value differs from its default.
std::vector<std::string> lines_about_ineffective_keys(const RunConfig& run);

}  // namespace gpas
