// Where a run stands, and its way into a checkpoint and back.
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
    std::int64_t step = 0;              // steps done, skipped ones included
    std::int64_t updates = 0;           // AdamW updates done
    std::int64_t consumed_samples = 0;  // the next step's data begin there: more than step x batch after a roll back
    std::int64_t consumed_tokens = 0;
};

// What a checkpoint says about itself besides the progress.
struct RunIdentity {
    std::string config_text;
    std::string dataset_fingerprint;
    std::string tokenizer_fingerprint;
    std::string layout;
};

// What else a run needs to go on as if it had never stopped; attributes "extra.<key>" of a checkpoint.
using RunMemory = std::map<std::string, std::string>;

std::filesystem::path checkpoint_directory(const RunConfig& config);  // <directory>/checkpoints

CheckpointHeader checkpoint_header(const RunConfig& config, const RunIdentity& identity, const Progress& progress,
                                   const RunMemory& memory = {});

// The checkpoint that `checkpoint.resume` asks for: none for a run from step 0. The same on every rank; rank 0
// looks. With auto, the newest one below `below` that is complete; notes: what was passed over and why.
std::optional<std::filesystem::path> find_checkpoint(Communicator& group, const RunConfig& config,
                                                     std::vector<std::string>* notes = nullptr,
                                                     std::int64_t below = std::numeric_limits<std::int64_t>::max());

// w (and, with moments, m and v) = those of the file; compute weights follow. Collective over `world`, all ranks that
// load; data: the store's data-parallel group.
Progress load_run(Communicator& world, Communicator& data, const RunConfig& config, Context& context,
                  const std::filesystem::path& file, ParameterStore& store, bool moments);

// 16 hexadecimal digits of the file's bytes; empty for an empty path.
std::string file_fingerprint(const std::string& path);

}  // namespace gpas
