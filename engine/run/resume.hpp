// Where a start of a run takes its state from, and what becomes of the checkpoints that it leaves by that
// (io/checkpoint/branch.hpp). All functions are collective over the world; rank 0 works on the directory.
#pragma once

#include "engine/run/run_state.hpp"

namespace gpas {

// Of one start. References, kept by nobody.
struct RunParts {
    Communicator& world;
    Communicator& data;  // the store's data-parallel group
    const RunConfig& config;
    const RunIdentity& identity;
    Context& context;
    ParameterStore& store;
    bool in_job = false;  // a scheduler has started it
};

struct Resumed {
    std::filesystem::path file;
    Progress progress;
    RunMemory memory;
    std::vector<std::string> changes = {};  // lines about keys that differ from the checkpoint's and may
    bool of_this_run = true;                // the file belongs to the current branch of the run's directory
};

struct RunStart {
    std::optional<Resumed> resumed;  // nothing: the run starts from initial weights
    std::int64_t base_step = -1;  // rank 0: of the current branch's file that the branch began with; -1: another source
    bool begins_branch = false;   // checkpoint.resume asks for it; false: the start continues what is there
};

// Loads the state that checkpoint.resume asks for. If it is `never` or a path, and the same command has begun the
// current branch without completing it, the start continues that branch: the command was started again after it had
// been stopped. In a job it continues a completed branch, too: what is left of a chain of jobs has nothing to do. A
// damaged checkpoint of the current branch is passed over for the one before it. AgreedError(bad_file) if all are
// damaged, rather than start over; refuses what is not this run (check_same_run). notes: lines for people.
RunStart resume_run(const RunParts& run, std::vector<std::string>& notes);

// Makes this start's state the head of the current branch: sets aside the checkpoints that do not lead to it. Called
// once the start has its state, before it writes anything.
void take_branch(const RunParts& run, const RunStart& start, std::vector<std::string>& notes);

// The file of checkpoint.init_from. If it is a checkpoint of this run that has been set aside: the path to which it was
// moved.
std::filesystem::path initial_weights_file(Communicator& world, const RunConfig& config);

// Notes that the run has reached its last step: the same command may begin another branch from now on.
void complete_branch(Communicator& world, const RunConfig& config);

// Loads the newest checkpoint of the current branch up to step `trusted`, or else the file outside of it that the start
// has begun with, and sets aside all later ones. Nothing if there is none.
std::optional<Resumed> roll_back_run(const RunParts& run, const RunStart& start, std::int64_t trusted,
                                     std::vector<std::string>& notes);

// Sets aside the checkpoints above step `trusted`, so that the next start does not continue from them.
void set_aside_later(Communicator& world, const RunConfig& config, std::int64_t trusted, const std::string& why,
                     std::vector<std::string>& notes);

}  // namespace gpas
