// Branches of a run. The files directly in the checkpoint directory are the current branch: a sequence of saves in
// which a higher step was saved later. A start from an earlier state begins a new branch. The checkpoints that do not
// belong to the new branch are moved to a sub-directory set_aside_<n>_step_<first>_to_<last>; nothing is deleted.
//
// A branch begins when the journal (checkpoints/.branching.json) is written. If the process is killed before this
// write, nothing has changed. If it is killed after it, readers no longer see the files that are to be moved, and
// finish_branching() moves them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace gpas {

// Called before each change of a directory. Tests throw from it to end the work at this point, as a kill would.
using BeforeChange = std::function<void()>;

// How the current branch began: checkpoints/branch.json. If this file is missing, the run began with
// checkpoint.resume=auto.
struct BranchRecord {
    std::string config;  // resolved YAML of the start that began the branch
    std::string dataset_fingerprint;
    std::string tokenizer_fingerprint;
    std::string base;        // absolute path of the checkpoint that the branch began from; empty: initial weights
    bool completed = false;  // the branch has reached its last step

    bool operator==(const BranchRecord&) const = default;
};

struct SetAside {
    std::filesystem::path directory;
    std::vector<std::int64_t> steps;  // ascending
    std::string why;                  // one line
};

// nullopt if the file is missing. Error(bad_file) if it is damaged.
std::optional<BranchRecord> read_branch(const std::filesystem::path& directory);
// Error(environment).
void write_branch(const std::filesystem::path& directory, const BranchRecord& record, const BeforeChange& before = {});

// Sets aside every checkpoint whose step is above `after` (-1: all checkpoints), then stores `record` if it has a
// value. Returns the new sub-directory, or nullopt if there was no such checkpoint. Not collective: rank 0 calls it.
// After an Error(environment) no checkpoint is lost, and the next start completes the work.
std::optional<std::filesystem::path> begin_branch(const std::filesystem::path& directory, std::int64_t after,
                                                  const std::string& why,
                                                  const std::optional<BranchRecord>& record = {},
                                                  const BeforeChange& before = {});
// Completes the work of a begin_branch() or set_aside_step() whose process was killed. Every start of a run calls it
// before it looks for a checkpoint.
void finish_branching(const std::filesystem::path& directory, const BeforeChange& before = {});
// Sets aside the checkpoint of this step, if there is one, before a save of the same step. Only another process can
// have written it.
void set_aside_step(const std::filesystem::path& directory, std::int64_t step, const BeforeChange& before = {});

// The sub-directories with set-aside checkpoints, oldest first; empty if `directory` is missing. Error(environment).
std::vector<SetAside> list_set_aside(const std::filesystem::path& directory);
// Names of the files that the journal lists. They are still in the directory, but no longer in the current branch.
std::vector<std::string> names_to_be_moved(const std::filesystem::path& directory);
// The present path of a checkpoint that was set aside; nullopt if it was not set aside.
std::optional<std::filesystem::path> moved_to(const std::filesystem::path& file);

}  // namespace gpas
