// Branches of a run. The files directly in its checkpoint directory are the current branch: one line of saves, of which
// a higher step is the later one. A start from an earlier state begins a new branch. The checkpoints that do not
// belong to the new branch are moved to a sub-directory set_aside_<n>_step_<first>_to_<last>; nothing is deleted.
//
// One write of the journal (checkpoints/.branching.json) begins a branch. A process that is killed before it has
// changed nothing. After it readers no longer see the files that are to be moved, and finish_branching() completes the
// work.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace gpas {

// Called before each change of a directory. Tests throw from it, as a kill would end the work there.
using BeforeChange = std::function<void()>;

// How the current branch began: checkpoints/branch.json. Without this file the run began with checkpoint.resume=auto.
struct BranchRecord {
    std::string config;  // resolved YAML of the start that began the branch
    std::string dataset_fingerprint;
    std::string tokenizer_fingerprint;
    std::string base;        // absolute path of the checkpoint that it began with; empty: initial weights
    bool completed = false;  // a start of it has reached its last step

    bool operator==(const BranchRecord&) const = default;
};

struct SetAside {
    std::filesystem::path directory;
    std::vector<std::int64_t> steps;  // ascending
    std::string why;                  // one line
};

// Nothing without the file; Error(bad_file) if the file is damaged.
std::optional<BranchRecord> read_branch(const std::filesystem::path& directory);
// Error(environment).
void write_branch(const std::filesystem::path& directory, const BranchRecord& record, const BeforeChange& before = {});

// Sets aside every checkpoint of a step above `after` (-1: all), then stores the record if one is given. Returns the
// new sub-directory; nothing if there was no such checkpoint. Not collective: rank 0 calls it. Error(environment):
// nothing is lost, and the next start completes what was begun.
std::optional<std::filesystem::path> begin_branch(const std::filesystem::path& directory, std::int64_t after,
                                                  const std::string& why,
                                                  const std::optional<BranchRecord>& record = {},
                                                  const BeforeChange& before = {});
// Completes what a killed process has begun. The start of a run calls it before it looks for a checkpoint.
void finish_branching(const std::filesystem::path& directory, const BeforeChange& before = {});
// Makes room for a save: a file of this step, which only another process can have written, is set aside.
void set_aside_step(const std::filesystem::path& directory, std::int64_t step, const BeforeChange& before = {});

// Oldest first. A missing directory has none. Error(environment).
std::vector<SetAside> list_set_aside(const std::filesystem::path& directory);
// File names that a journal lists: they are no longer in the current branch.
std::vector<std::string> names_to_be_moved(const std::filesystem::path& directory);
// The present path of a checkpoint that has been set aside; nothing if it has not been set aside.
std::optional<std::filesystem::path> moved_to(const std::filesystem::path& file);

}  // namespace gpas
