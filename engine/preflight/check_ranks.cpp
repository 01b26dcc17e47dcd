// Checks that the ranks run the same program with the same configuration on equal machines.
#include "base/error.hpp"
#include "engine/preflight/clocks.hpp"
#include "engine/preflight/gather.hpp"
#include "engine/preflight/job.hpp"
#include "engine/preflight/machine.hpp"
#include "io/config/check.hpp"
#include "io/config/describe.hpp"
#include "kernels/cuda/gpu.hpp"
#include "parallel/agree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace gpas::preflight {

void check_program(Job& job) {
    const auto facts =
        gather(job.world, std::vector<std::string>{"gpas " GPAS_VERSION ", xxHash " + program_hash(), mpi_version()},
               "programs");
    job.report.add(
        "program", facts[0][0],
        judge_equal({.what = "the program", .advice = "start the same file on every node"}, facts[0], job.hosts));
    job.report.add(
        "MPI", facts[1][0],
        judge_equal({.what = "the MPI library", .advice = "load the same module on every node"}, facts[1], job.hosts));
}

// Compares configurations; findings name the keys that differ. All later checks use the majority's configuration,
// so that one start finds all problems.
void check_config(Job& job) {
    const std::string mine = dump_config(job.config());
    const std::vector<Group> groups =
        vote(gather(job.world, fmt::format("{:016x}", std::hash<std::string>()(mine)), "configurations"));
    Findings findings;
    std::string theirs = mine;
    broadcast(job.world, theirs, groups[0].ranks[0], "the configuration of most ranks");
    for (std::size_t i = 1; i < groups.size(); ++i) {
        std::string other = mine;
        broadcast(job.world, other, groups[i].ranks[0], "a configuration that differs");
        const bool tie = groups[i].ranks.size() == groups[0].ranks.size();
        findings.push_back({Severity::problem,
                            fmt::format("{}: configuration: {}; compared with {}{}; start every rank with the same "
                                        "files and overrides",
                                        ranks_text(groups[i].ranks, job.hosts), config_differences(other, theirs),
                                        ranks_text(groups[0].ranks, job.hosts),
                                        tie ? " (an equal number of ranks, so no configuration has a majority)" : "")});
    }
    if (theirs != mine || groups.size() > 1)
        job.loaded =
            agree(job.world, [&] { return theirs == mine ? job.loaded : load_config_text(theirs, "the majority"); });
    job.report.add("configuration",
                   fmt::format("{}, hash {:016x}", job.config().name, std::hash<std::string>()(theirs)), findings);
    job.mesh_size = agree(job.world, [&] {
        check_for_training(job.loaded);
        return check_for_world(job.loaded, job.world.size());
    });
}

void check_processors(Job& job) {
    const bool may_use_gpus = job.config().compute.device != DeviceKind::cpu;
    const auto facts =
        gather(job.world,
               std::vector<std::string>{cpu_model(), vector_instructions(), fmt::format("{}", job.threads),
                                        fmt::format("{}", may_use_gpus ? cuda::device_count() : 0)},
               "processors");
    Findings findings;
    const auto judge = [&](Severity severity, const char* what, std::size_t fact, const char* advice) {
        for (Finding& found : judge_equal({severity, what, advice}, facts[fact], job.hosts))
            findings.push_back(std::move(found));
    };
    judge(Severity::slow, "the processor model", 0, "every step waits for the slowest rank; use nodes of one kind");
    judge(Severity::problem, "the processor's instructions", 1,
          "the ranks' results would differ in their last bits; use nodes of one kind");
    judge(Severity::slow, "the number of threads", 2,
          "set compute.threads, or bind every rank to the same number of cores");
    judge(Severity::problem, "the number of GPUs", 3,
          "if one rank has no GPU, all ranks train on CPUs; check nvidia-smi and CUDA_VISIBLE_DEVICES");
    job.report.add("processor", fmt::format("{}, {}, {} thread(s) per rank", facts[0][0], facts[1][0], facts[2][0]),
                   findings);
}

void check_clocks(Job& job) {
    if (job.world.size() == 1) return;
    const Clocks clocks = measure_clocks(job.world);
    const auto [least, most] = std::minmax_element(clocks.offsets.begin(), clocks.offsets.end());
    job.report.add("clocks",
                   fmt::format("within {:.6f} s of each other (+-{:.6f})", *most - *least,
                               *std::max_element(clocks.bounds.begin(), clocks.bounds.end())),
                   judge_clocks(clocks.offsets, clocks.bounds, job.hosts));
}

}  // namespace gpas::preflight
