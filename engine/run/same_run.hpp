// What a checkpoint's run and the one that reads it must have in common. Every list of keys derives from the roles that
// the schema gives them (io/config/schema.hpp); nothing has been loaded yet when these comparisons run.
#pragma once

#include "engine/run/run_state.hpp"
#include "io/config/load.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace gpas {

// For a run that resumes. Error(usage) in one line, with names and both values of every key that differs, if what the
// run computes would change (KeyRole::model_math, run_math), if the content of the token files or of the tokenizer is
// another, or if training.steps lies below the checkpoint's step. Returns lines for the log: what changed and may.
std::vector<std::string> check_same_run(const CheckpointHeader& header, const RunConfig& config,
                                        const RunIdentity& identity, const std::filesystem::path& file);

// For a run that begins with the checkpoint's weights (checkpoint.init_from): Error(usage) if the model computes
// something else (KeyRole::model_math). Returns lines for the log.
std::vector<std::string> check_same_model(const CheckpointHeader& header, const RunConfig& config,
                                          const RunIdentity& identity, const std::filesystem::path& file);

// For `gpas eval` and `gpas generate`: the model's keys become the checkpoint's; Error(usage) if a file or an override
// sets one of them to another value. Returns lines for the log: the values taken, and what else changed.
std::vector<std::string> take_model(const CheckpointHeader& header, LoadedConfig& config,
                                    const std::filesystem::path& file);

// The checkpoint's configuration, for commands that are given a checkpoint alone: all of it but the parallel layout,
// then the overrides ("data.valid=...").
LoadedConfig config_of(const CheckpointHeader& header, const std::filesystem::path& file,
                       const std::vector<std::string>& overrides);

}  // namespace gpas
