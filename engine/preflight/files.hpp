// Checks of the file systems that ranks see: the run's directory and the data files.
#pragma once

#include "io/config/run_config.hpp"
#include "parallel/communicator.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace gpas::preflight {

struct DirectoryFacts {
    // One text per rank: the problem, or empty.
    std::vector<std::string> shared;   // the rank does not see the file that rank 0 has written
    std::vector<std::string> written;  // the rank cannot write, sync, read or remove a file of its own
    double sync_seconds = 0.0;         // of the slowest rank
};

// Rank 0 creates the directory and writes a file, which the other ranks must see within wait_seconds (network file
// systems show new files late). Then each rank tests a file of its own. All files are removed. Collective; the same
// result on every rank.
DirectoryFacts try_directory(Communicator& world, const std::filesystem::path& directory, double wait_seconds);

// Bytes of the checkpoint files in this directory.
double checkpoint_bytes_there(const std::filesystem::path& checkpoints);

struct FileFact {
    std::string path;
    std::string state;  // "4096 bytes", or `unreadable` + reason
};
// The files that a run reads (token files, tokenizer), with their state on this rank. The same list on every rank.
std::vector<FileFact> data_files(const RunConfig& config);
// Opens the data as training does. Returns "fingerprint 0123", or `unreadable` + reason.
std::string data_state(const RunConfig& config, int threads);

}  // namespace gpas::preflight
