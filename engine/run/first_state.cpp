#include "engine/run/first_state.hpp"

#include "engine/run/same_run.hpp"
#include "engine/step/replica.hpp"
#include "parallel/agree.hpp"

#include <filesystem>
#include <utility>

namespace gpas {
namespace {

// Sets the weights to those of checkpoint.init_from. Returns the part of its memory that belongs to the weights.
RunMemory load_initial_weights(const RunParts& run, std::vector<std::string>& notes) {
    const std::filesystem::path file = initial_weights_file(run.world, run.config);
    for (const std::string& line :
         agree(run.world, [&] { return check_same_model(read_header(file), run.config, run.identity, file); }))
        notes.push_back(line);
    load_run({run.world, run.data, run.config, run.context, run.store}, file, false);
    RunMemory found = agree(run.world, [&] { return read_header(file).extra; });
    notes.push_back(fmt::format("starting from the weights of {}", file.string()));
    return {{"token_ids", found["token_ids"]}};
}

}  // namespace

FirstState load_first_state(const RunParts& run, std::vector<std::string>& notes) {
    FirstState first{.start = resume_run(run, notes), .progress = {}, .memory = {}};
    if (const auto& resumed = first.start.resumed) {
        first.progress = resumed->progress;
        first.memory = resumed->memory;
        notes.push_back(fmt::format("resuming from {} at step {}", resumed->file.string(), first.progress.step));
        notes.insert(notes.end(), resumed->changes.begin(), resumed->changes.end());
    } else if (!run.config.checkpoint.init_from.empty()) {
        first.memory = load_initial_weights(run, notes);
    } else {
        initialise(run.context, run.store, run.config.seed, run.data);
        notes.push_back(fmt::format("starting from initial weights of seed {}", run.config.seed));
    }
    take_branch(run, first.start, notes);
    return first;
}

}  // namespace gpas
