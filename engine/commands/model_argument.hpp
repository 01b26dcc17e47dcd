// The argument of `gpas eval` and `gpas generate`: a trained model and its configuration.
#pragma once

#include "engine/commands/arguments.hpp"
#include "io/data/tokenizer.hpp"
#include "io/hugging_face/token_ids.hpp"
#include "parallel/communicator.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace gpas {

// [CONFIG...] [CHECKPOINT or run directory] [key=value...]; the checkpoint can also be given by --checkpoint.
struct ModelArgument {
    std::vector<std::string> words;
    std::string checkpoint = "auto";
};

std::shared_ptr<ModelArgument> add_model_argument(CLI::App& command);

struct ChosenModel {
    LoadedConfig config;                // with the model of the checkpoint
    std::filesystem::path file;         // the checkpoint
    std::string tokenizer_fingerprint;  // from the checkpoint; empty: the model was trained without a tokenizer
    TokenIds ids;                       // of an imported model; otherwise none
    bool imported = false;              // training began with an imported model
};

// If a configuration is given: takes the named checkpoint, or else the newest one of the configuration's run. If not:
// takes the configuration from the checkpoint. Rank 0 prints to stderr how the configuration differs from the
// checkpoint's (take_model in engine/run/same_run.hpp). Collective; AgreedError on every rank.
ChosenModel choose_model(Communicator& world, const ModelArgument& argument);

// The tokenizer of the model's training. needed_by and errors: as open_run_tokenizer; also Error(usage) if it is not the
// tokenizer that the checkpoint records.
std::unique_ptr<Tokenizer> open_model_tokenizer(const ChosenModel& model, const std::string& needed_by);

}  // namespace gpas
