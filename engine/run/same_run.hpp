// Compares a run's configuration and data with those of the checkpoint that it reads. Which keys must be equal follows
// from the role of each key in the schema (io/config/schema.hpp). The functions need the checkpoint's header only, so
// they run before any tensor is loaded.
#pragma once

#include "engine/run/run_state.hpp"
#include "io/config/load.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace gpas {

// For a run that resumes. Error(usage) in one line, with both values of every key that differs, if a key with
// KeyRole::model_math or run_math differs, if the content of the token files or of the tokenizer differs, or if
// training.steps is below the checkpoint's step. Returns lines for the log about permitted changes.
std::vector<std::string> check_same_run(const CheckpointHeader& header, const RunConfig& config,
                                        const RunIdentity& identity, const std::filesystem::path& file);

// For a run that takes its initial weights from the checkpoint (checkpoint.init_from): Error(usage) if a key with
// KeyRole::model_math differs. Returns lines for the log about other changes.
std::vector<std::string> check_same_model(const CheckpointHeader& header, const RunConfig& config,
                                          const RunIdentity& identity, const std::filesystem::path& file);

// For commands that use the weights of a checkpoint: sets the model's keys in `config` to the checkpoint's values.
// Error(usage) if a configuration file or an override sets such a key to another value; `advice` ends its line. Returns
// lines for the log: the values taken from the checkpoint, and other changes.
std::vector<std::string> take_model(const CheckpointHeader& header, LoadedConfig& config,
                                    const std::filesystem::path& file, std::string_view advice);

// For `gpas train`, `plan` and `preflight`: if checkpoint.init_from names a checkpoint, take_model() from that
// checkpoint. If the file is not there any more, the model is that of the newest checkpoint in the run's directory; if
// there is no such checkpoint either, nothing is taken. Returns lines for the log: the values that were taken.
std::vector<std::string> take_initial_model(LoadedConfig& config);

// load_config with take_initial_model before the checks: the layout must fit the model that is taken, not the default.
// Adds the lines of take_initial_model to `lines`.
LoadedConfig load_with_initial_model(const std::vector<std::string>& files, const std::vector<std::string>& overrides,
                                     std::vector<std::string>& lines);

// The checkpoint's configuration without its parallel layout, with the overrides ("data.valid=...") applied. For
// commands that get a checkpoint and no configuration file.
LoadedConfig config_of(const CheckpointHeader& header, const std::filesystem::path& file,
                       const std::vector<std::string>& overrides);

}  // namespace gpas
