// What `gpas eval` and `gpas generate` read: a trained model with a configuration to go with it.
#pragma once

#include "engine/commands/arguments.hpp"
#include "parallel/communicator.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace gpas {

// [CONFIG...] [CHECKPOINT or run directory] [key=value...], and --checkpoint, which names one too.
struct ModelArgument {
    std::vector<std::string> words;
    std::string checkpoint = "auto";
};

std::shared_ptr<ModelArgument> add_model_argument(CLI::App& command);

struct ChosenModel {
    LoadedConfig config;                // its model is the checkpoint's
    std::filesystem::path file;         // the checkpoint
    std::string tokenizer_fingerprint;  // as the checkpoint has it; empty: it was trained without a tokenizer
};

// With a configuration: its run's newest checkpoint, or the one that is named. Without: the configuration in the
// checkpoint. Rank 0 prints to stderr what differs from the checkpoint (take_model in engine/run/same_run.hpp).
// AgreedError on every rank; collective.
ChosenModel choose_model(Communicator& world, const ModelArgument& argument);

}  // namespace gpas
