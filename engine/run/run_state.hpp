// A run's progress, and how it is written to a checkpoint and read back.
#pragma once

#include "engine/model/parameters.hpp"
#include "io/checkpoint/checkpoint.hpp"
#include "parallel/communicator.hpp"

#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gpas {

struct Progress {
    std::int64_t step = 0;     // steps done, skipped steps included
    std::int64_t updates = 0;  // AdamW updates done
    // First sample of the next step. More than step · global batch after a roll back, which does not reuse data.
    std::int64_t consumed_samples = 0;
    std::int64_t consumed_tokens = 0;
};
// The progress after one more step. updated: the step updated the weights.
Progress progress_after_step(const Progress& before, const RunConfig& config, bool updated);

// Attributes of a checkpoint besides the progress.
struct RunIdentity {
    std::string config_text;
    std::string dataset_fingerprint;
    std::string tokenizer_fingerprint;
    std::string layout;
};

// Other state that a resumed run needs to give the same results as an uninterrupted one (for example SpikeHistory):
// attributes "extra.<key>" of a checkpoint.
using RunMemory = std::map<std::string, std::string>;

std::filesystem::path checkpoint_directory(const RunConfig& config);  // <directory>/checkpoints

CheckpointHeader checkpoint_header(const RunConfig& config, const RunIdentity& identity, const Progress& progress,
                                   const RunMemory& memory = {});

// The checkpoint that `checkpoint.resume` asks for; nothing if the run starts from step 0. With `auto`: the newest
// complete one below step `below`. notes: gets a line per file that was passed over, with the reason. Rank 0 reads the
// directory; the same result on every rank. Collective over `group`.
std::optional<std::filesystem::path> find_checkpoint(Communicator& group, const RunConfig& config,
                                                     std::vector<std::string>* notes = nullptr,
                                                     std::int64_t below = std::numeric_limits<std::int64_t>::max());

// Where load_run() puts a checkpoint's state. References: for arguments only.
struct LoadTarget {
    Communicator& world;  // all ranks that load
    Communicator& data;   // the store's data-parallel group
    const RunConfig& config;
    Context& context;
    ParameterStore& store;
};

// Store's w (and with `moments` m and v) = the file's; then compute weights = w on all ranks of target.data.
// Returns the checkpoint's progress. Collective over target.world.
Progress load_run(const LoadTarget& target, const std::filesystem::path& file, bool moments);

// Hash of the file's bytes, 16 hexadecimal digits; empty for an empty path.
std::string file_fingerprint(const std::string& path);

}  // namespace gpas
