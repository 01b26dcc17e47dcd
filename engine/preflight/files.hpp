// What ranks find on their file systems: the run's directory, the data. Collective where it says so.
#pragma once

#include "io/config/run_config.hpp"
#include "parallel/communicator.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace gpas::preflight {

struct DirectoryFacts {
    // Of each rank: empty, or what went wrong.
    std::vector<std::string> shared;   // it does not see what rank 0 has written there
    std::vector<std::string> written;  // it cannot write, sync, read or remove a file of its own
    double sync_seconds = 0.0;         // the slowest rank's
};

// Rank 0 makes the directory and writes a token, for which the others look (file systems of networks show a new file
// late: up to wait_seconds); then each rank tries a file of its own. Nothing stays behind. Collective.
DirectoryFacts try_directory(Communicator& world, const std::filesystem::path& directory, double wait_seconds);

// Bytes of the checkpoints that lie there.
double checkpoint_bytes_there(const std::filesystem::path& checkpoints);

struct FileFact {
    std::string path;
    std::string state;  // "4096 bytes", or `unreadable` and why
};
// The files that a run reads on this rank: token files, tokenizer; the same list on every rank.
std::vector<FileFact> data_files(const RunConfig& config);
// What reading the data as training does says: "fingerprint 0123", or `unreadable` and why.
std::string data_state(const RunConfig& config, int threads);

}  // namespace gpas::preflight
