#include "engine/run/resume.hpp"

#include "base/error.hpp"
#include "engine/run/same_run.hpp"
#include "io/checkpoint/branch.hpp"
#include "io/config/describe.hpp"
#include "io/config/load.hpp"
#include "parallel/agree.hpp"

namespace gpas {
namespace {

namespace fs = std::filesystem;

// The configuration as this version writes it, without the run's directory, which may have been moved.
std::string comparable(RunConfig config) {
    config.directory.clear();
    return dump_config(config);
}

bool same_command(const BranchRecord& record, const RunConfig& config, const RunIdentity& identity) {
    if (record.dataset_fingerprint != identity.dataset_fingerprint ||
        record.tokenizer_fingerprint != identity.tokenizer_fingerprint)
        return false;
    try {
        return comparable(stored_config(record.config, "branch.json", "")) == comparable(config);
    } catch (const Error&) {
        return false;  // a version with other keys has written it
    }
}

// Calls body() on rank 0 and returns its text on every rank. Collective.
template <class Body>
std::string from_rank_0(Communicator& world, const char* what, Body&& body) {
    std::string text = agree(world, [&] { return world.rank() == 0 ? body() : std::string(); });
    broadcast(world, text, 0, what);
    return text;
}

bool is_in(const fs::path& directory, const fs::path& file) {
    std::error_code error;
    const fs::path parent = file.has_parent_path() ? file.parent_path() : ".";
    return checkpoint_step(file) && fs::equivalent(parent, directory, error);
}

// True for a checkpoint of the current branch: it is in this directory and has a checkpoint's name. A symbolic link
// counts as its target.
bool is_of_branch(const fs::path& directory, const fs::path& file) {
    std::error_code error;
    return is_in(directory, file) || is_in(directory, fs::canonical(file, error));
}

Resumed load(const RunParts& run, const fs::path& file) {
    std::vector<std::string> changes;
    const RunMemory memory = agree(run.world, [&] {
        const CheckpointHeader header = read_header(file);
        changes = check_same_run(header, run.config, run.identity, file);
        return header.extra;
    });
    return {.file = file,
            .progress = load_run({run.world, run.data, run.config, run.context, run.store}, file, true),
            .memory = memory,
            .changes = changes};
}

// Loads the newest readable checkpoint of the current branch below step `below`; nothing if there is no such file.
std::optional<Resumed> load_newest(const RunParts& run, std::int64_t below, std::vector<std::string>& notes) {
    RunConfig newest = run.config;
    newest.checkpoint.resume = "auto";
    while (const auto file = find_checkpoint(run.world, newest, &notes, below)) {
        try {
            return load(run, *file);
        } catch (const AgreedError& error) {
            if (error.code() != ExitCode::bad_file) throw;
            notes.push_back(fmt::format("{}; the checkpoint before it is used instead", error.what()));
            below = checkpoint_step(*file).value_or(0);
        }
    }
    return std::nullopt;
}

Resumed load_named(const RunParts& run, const fs::path& file) {
    Resumed resumed = load(run, file);
    const std::string inside = from_rank_0(run.world, "whether the checkpoint is in the run's directory", [&] {
        return std::string(is_of_branch(checkpoint_directory(run.config), file) ? "yes" : "");
    });
    resumed.of_this_run = !inside.empty();
    return resumed;
}

std::int64_t step_in_branch(const std::optional<Resumed>& resumed) {
    return resumed && resumed->of_this_run ? resumed->progress.step : -1;
}

// The line for the log about checkpoints that were set aside. advice: add how to continue from them.
std::string said(const fs::path& aside, const std::string& why, bool advice) {
    const SetAside found = list_set_aside(aside.parent_path()).back();
    const std::int64_t first = found.steps.front();
    const std::int64_t last = found.steps.back();
    const std::string which = found.steps.size() == 1 ? fmt::format("the checkpoint of step {} is", last)
                                                      : fmt::format("{} checkpoints, of steps {} to {}, are",
                                                                    found.steps.size(), first, last);
    return fmt::format("{} set aside in {}, since {}{}", which, aside.string(), why,
                       advice ? fmt::format("; to continue from step {}: checkpoint.resume={}", last,
                                            (aside / checkpoint_file_name(last)).string())
                              : "");
}

// Copies the other files that the new branch overwrites. A failed copy is reported and does not end the run.
void copy_records(const RunConfig& config, const fs::path& to, std::vector<std::string>& notes) {
    for (const char* name : {"metrics.jsonl", "config.yaml"}) {
        const fs::path from = fs::path(config.directory) / name;
        std::error_code error;
        if (!fs::exists(from, error)) continue;
        fs::copy_file(from, to / name, error);
        if (error)
            notes.push_back(fmt::format("{}: copying it to {}: {}", from.string(), to.string(), error.message()));
    }
}

void branch_off(Communicator& world, const RunConfig& config, std::int64_t after, const std::string& why,
                const std::optional<BranchRecord>& record, std::vector<std::string>& notes) {
    agree(world, [&] {
        if (world.rank() != 0) return;
        const auto aside = begin_branch(checkpoint_directory(config), after, why, record);
        if (!aside) return;
        copy_records(config, *aside, notes);
        notes.push_back(said(*aside, why, record.has_value()));
    });
}

}  // namespace

RunStart resume_run(const RunParts& run, std::vector<std::string>& notes) {
    const std::string& request = run.config.checkpoint.resume;
    const fs::path directory = checkpoint_directory(run.config);
    std::optional<BranchRecord> record;
    std::int64_t base_step = -1;
    const std::string continues = from_rank_0(run.world, "whether the run is continued", [&] {
        finish_branching(directory);
        remove_leftovers(directory);
        record = read_branch(directory);
        if (record && is_of_branch(directory, record->base)) base_step = checkpoint_step(record->base).value_or(-1);
        const bool again =
            record && (!record->completed || run.in_job) && same_command(*record, run.config, run.identity);
        return std::string(request == "auto" || again ? "yes" : "");
    });
    if (!continues.empty()) {
        std::vector<std::string> passed_over;
        auto resumed = load_newest(run, std::numeric_limits<std::int64_t>::max(), passed_over);
        notes.insert(notes.end(), passed_over.begin(), passed_over.end());
        if (resumed && request != "auto")
            notes.push_back(
                fmt::format("the same command, with checkpoint.resume={}, started this run, so the run "
                            "continues. To start again instead, use another `directory`, or remove {}",
                            request, (directory / "branch.json").string()));
        if (resumed) return {.resumed = std::move(resumed), .base_step = base_step};
        std::int64_t damaged = std::int64_t(passed_over.size());  // only rank 0 read the directory
        run.world.all_reduce(&damaged, 1, ReduceOp::max, "damaged checkpoints");
        if (damaged > 0 && request == "auto")
            throw AgreedError(
                ExitCode::bad_file,
                fmt::format("{}: none of its checkpoints can be read{}; restore one, name one with "
                            "checkpoint.resume, or start from step 0 with checkpoint.resume=never",
                            directory.string(), passed_over.empty() ? "" : fmt::format(" ({})", passed_over.front())));
    }
    if (request == "auto") {
        const std::string base = from_rank_0(run.world, "the checkpoint that the branch began with",
                                             [&] { return record ? record->base : std::string(); });
        if (base.empty()) {
            const std::size_t aside = run.world.rank() == 0 ? list_set_aside(directory).size() : 0;
            if (aside > 0)
                notes.push_back(
                    fmt::format("{} has no checkpoint of the current branch; {} earlier branch(es) are set "
                                "aside there (`gpas inspect {}` lists them)",
                                directory.string(), aside, run.config.directory));
            return {};
        }
        notes.push_back(fmt::format("the run began with {} and has saved nothing since", base));
        return {.resumed = load_named(run, base)};
    }
    if (request == "never") return {.resumed = {}, .begins_branch = true};
    RunStart start{.resumed = load_named(run, request), .begins_branch = true};
    start.base_step = step_in_branch(start.resumed);
    return start;
}

void take_branch(const RunParts& run, const RunStart& start, std::vector<std::string>& notes) {
    const std::string& request = run.config.checkpoint.resume;
    const auto& resumed = start.resumed;
    std::optional<BranchRecord> record;
    if (start.begins_branch)
        record = BranchRecord{.config = run.identity.config_text,
                              .dataset_fingerprint = run.identity.dataset_fingerprint,
                              .tokenizer_fingerprint = run.identity.tokenizer_fingerprint,
                              .base = resumed ? fs::absolute(resumed->file).lexically_normal().string() : ""};
    const std::string why =
        !start.begins_branch ? fmt::format("they could not be read, and the run was continued from {}",
                                           resumed ? resumed->file.string() : "initial weights")
        : resumed ? fmt::format("the run was continued from {} (checkpoint.resume={})", resumed->file.string(), request)
                  : "the run was started from step 0 (checkpoint.resume=never)";
    branch_off(run.world, run.config, step_in_branch(resumed), why, record, notes);
}

fs::path initial_weights_file(Communicator& world, const RunConfig& config) {
    const fs::path named = config.checkpoint.init_from;
    return from_rank_0(world, "the checkpoint of initial weights", [&] {
        std::error_code error;
        return fs::exists(named, error) ? named.string() : moved_to(named).value_or(named).string();
    });
}

void complete_branch(Communicator& world, const RunConfig& config) {
    if (world.rank() != 0) return;
    try {
        auto record = read_branch(checkpoint_directory(config));
        if (!record || record->completed) return;
        record->completed = true;
        write_branch(checkpoint_directory(config), *record);
    } catch (const Error&) {
        // Without the record the same command continues this branch and finds nothing left to do.
    }
}

std::optional<Resumed> roll_back_run(const RunParts& run, const RunStart& start, std::int64_t trusted,
                                     std::vector<std::string>& notes) {
    const std::int64_t below = trusted < std::numeric_limits<std::int64_t>::max() ? trusted + 1 : trusted;
    auto resumed = load_newest(run, below, notes);
    if (!resumed && start.resumed && !start.resumed->of_this_run) {
        resumed = load(run, start.resumed->file);
        resumed->of_this_run = false;
    }
    if (!resumed) return std::nullopt;
    branch_off(run.world, run.config, step_in_branch(resumed),
               fmt::format("the run was rolled back to {}", resumed->file.string()), {}, notes);
    return resumed;
}

void set_aside_later(Communicator& world, const RunConfig& config, std::int64_t trusted, const std::string& why,
                     std::vector<std::string>& notes) {
    branch_off(world, config, trusted, why, {}, notes);
}

}  // namespace gpas
