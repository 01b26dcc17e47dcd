// Checks of the data files, the directory of the run and the space for its checkpoints.
#include "base/bytes_text.hpp"
#include "engine/model/parameters.hpp"
#include "engine/preflight/files.hpp"
#include "engine/preflight/gather.hpp"
#include "engine/preflight/job.hpp"
#include "engine/preflight/machine.hpp"
#include "engine/run/run_state.hpp"
#include "parallel/agree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace gpas::preflight {
namespace {

constexpr double token_seconds = 10.0;

std::filesystem::path existing(const std::filesystem::path& path) {
    std::filesystem::path folder = std::filesystem::absolute(path);
    while (!std::filesystem::exists(folder) && folder != folder.parent_path()) folder = folder.parent_path();
    return folder;
}

}  // namespace

void check_data(Job& job) {
    std::vector<std::string> paths, states;
    for (const FileFact& file : data_files(job.config())) {
        paths.push_back(file.path);
        states.push_back(file.state);
    }
    const auto files = gather(job.world, states, "sizes of data files");
    Findings findings;
    const auto add = [&](const std::string& path, const std::vector<std::string>& found) {
        for (Finding& finding : judge_file(path, found, job.hosts)) findings.push_back(std::move(finding));
    };
    for (std::size_t i = 0; i < paths.size(); ++i) add(paths[i], files[i]);
    const std::vector<std::string> opened =
        gather(job.world, data_state(job.config(), job.threads), "what data files hold");
    if (findings.empty()) add("the data", opened);
    job.report.add("data", fmt::format("{} files, {}", paths.size(), opened[0]), findings);
}

void check_directory(Job& job) {
    const DirectoryFacts facts = try_directory(job.world, job.config().directory, token_seconds);
    Findings findings;
    for (const Group& group : vote(facts.shared))
        if (!group.value.empty())
            findings.push_back(
                {Severity::problem,
                 fmt::format(
                     "{}: {} is not the same directory as on rank 0 ({}): a file that rank 0 wrote there did not "
                     "appear within {} s ({}); use a directory on a file system that all nodes share",
                     ranks_text(group.ranks, job.hosts), job.config().directory, job.hosts[0], token_seconds,
                     group.value)});
    for (std::size_t rank = 0; rank < facts.written.size(); ++rank)
        if (!facts.written[rank].empty())
            findings.push_back({Severity::problem,
                                fmt::format("{}: cannot use the run's directory: {}; check `directory`, permissions "
                                            "and mounts",
                                            ranks_text({int(rank)}, job.hosts), facts.written[rank])});
    job.report.add("directory",
                   fmt::format("{}: {}", job.config().directory,
                               findings.empty() ? fmt::format("every rank reads and writes it, sync in {}",
                                                              seconds_text(facts.sync_seconds))
                                                : "cannot be used by every rank"),
                   findings);
}

void check_space(Job& job) {
    const CheckpointConfig& rule = job.config().checkpoint;
    const double each = 3.0 * double(parameter_count(job.config().model)) * double(sizeof(float));
    const double count =
        double(most_checkpoints({job.config().training.steps, rule.every, rule.keep_last, rule.keep_every}));
    double there = checkpoint_bytes_there(checkpoint_directory(job.config()));
    double free = agree(job.world, [&] { return double(free_bytes(existing(job.config().directory))); });
    job.world.broadcast(&there, sizeof there, 0, "bytes of checkpoints");
    job.world.broadcast(&free, sizeof free, 0, "free space");
    job.report.add("disk", fmt::format("{} checkpoint(s) of {}, free {}", count, bytes_text(each), bytes_text(free)),
                   judge_space(job.config().directory, count * each, std::min(there, count * each), free));
}

}  // namespace gpas::preflight
