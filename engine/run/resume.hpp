// Loads the state that a run starts from, and sets aside the checkpoints that do not belong to that state's history
// (branches: io/checkpoint/branch.hpp). All functions are collective over the world; only rank 0 changes the directory.
#pragma once

#include "engine/run/run_state.hpp"

namespace gpas {

// Arguments of the functions below, which keep no references.
struct RunParts {
    Communicator& world;
    Communicator& data;  // the store's data-parallel group
    const RunConfig& config;
    const RunIdentity& identity;
    Context& context;
    ParameterStore& store;
    bool in_job = false;  // a batch scheduler (Slurm) has started the run
};

struct Resumed {
    std::filesystem::path file;
    Progress progress;
    RunMemory memory;
    std::vector<std::string> changes = {};  // lines about keys that differ from the checkpoint's and may differ
    bool of_this_run = true;                // the file belongs to the current branch of the run's directory
};

struct RunStart {
    std::optional<Resumed> resumed;  // nothing: the run starts from initial weights
    // Rank 0: step of the checkpoint in the run's directory that the branch (new or continued) began with; -1: it began
    // with another file or with initial weights.
    std::int64_t base_step = -1;
    bool begins_branch = false;  // checkpoint.resume asks for a new branch; false: the start continues the current one
};

// Loads the state that checkpoint.resume asks for. `never` or a path begins a new branch, with one exception: if the
// same command has begun the current branch and not completed it, the command was restarted after a stop, and the start
// continues that branch. In a job it also continues a completed branch, so that the remaining jobs of a chain find
// nothing to do. If a checkpoint of the current branch is damaged, the one before it is used. If all are damaged,
// `auto` throws AgreedError(bad_file) and does not restart from step 0. Refuses the checkpoint of another run, as
// check_same_run does. notes: lines for the log are appended.
RunStart resume_run(const RunParts& run, std::vector<std::string>& notes);

// Makes this start's state the head of the current branch: sets aside the checkpoints that are not part of its history.
// To be called after resume_run() and before the start writes to the directory.
void take_branch(const RunParts& run, const RunStart& start, std::vector<std::string>& notes);

// The file of checkpoint.init_from. If that is a checkpoint of this run that was set aside: its new path.
std::filesystem::path initial_weights_file(Communicator& world, const RunConfig& config);

// Records that the run has reached its last step, so that from now on the same command may begin another branch.
void complete_branch(Communicator& world, const RunConfig& config);

// Loads the newest checkpoint of the current branch up to step `trusted`, and sets aside all later ones. If the branch
// has no such checkpoint: loads the file outside of the branch that the start began with. Returns nothing if there is
// no such file either.
std::optional<Resumed> roll_back_run(const RunParts& run, const RunStart& start, std::int64_t trusted,
                                     std::vector<std::string>& notes);

// Sets aside the checkpoints above step `trusted`, so that the next start does not continue from them.
void set_aside_later(Communicator& world, const RunConfig& config, std::int64_t trusted, const std::string& why,
                     std::vector<std::string>& notes);

}  // namespace gpas
