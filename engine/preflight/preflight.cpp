#include "engine/preflight/preflight.hpp"

#include "base/error.hpp"
#include "base/host_name.hpp"
#include "engine/preflight/gather.hpp"
#include "engine/preflight/job.hpp"
#include "engine/run/threads.hpp"
#include "parallel/agree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <numeric>

namespace gpas::preflight {
namespace {

void check_all(Job& job) {
    job.hosts = gather(job.world, host_name(), "host names");
    std::vector<int> all(job.hosts.size());
    std::iota(all.begin(), all.end(), 0);
    job.report.add("ranks", fmt::format("{} on {} node(s): {}", job.world.size(), vote(job.hosts).size(),
                                        ranks_text(all, job.hosts)));
    check_program(job);
    check_config(job);
    job.threads = compute_threads(job.config().compute.threads, job.mpi);
    check_processors(job);
    check_clocks(job);
    check_data(job);
    check_directory(job);
    check_space(job);
    choose_and_check_device(job);
    check_memory(job);
    check_links(job);
    if (!job.options.quick) check_speed(job);
}

void print(const Job& job) {
    if (job.world.rank() == 0) fmt::print("{}", job.report.text(job.options.strict));
}

void conclude(Job& job) {
    std::int64_t problems = job.report.problems(job.options.strict);  // rank 0's count decides
    job.world.broadcast(&problems, sizeof problems, 0, "the number of problems");
    if (problems == 0) return;
    const bool bad_file = job.report.only_bad_files(job.options.strict);
    throw AgreedError(
        bad_file ? ExitCode::bad_file : ExitCode::environment,
        fmt::format("preflight: {} problem(s), listed above; fix them before you start the run", problems));
}

}  // namespace

void run(const LoadedConfig& config, std::unique_ptr<Communicator> world, const MpiSession& mpi,
         const Options& options) {
    const double configured = config.values.parallel.timeout_seconds;
    world->waits().timeout_seconds = configured > 0 ? std::min(configured, options.wait_seconds) : options.wait_seconds;
    Job job{.loaded = config, .world = *world, .mpi = mpi, .options = options};
    // An error that ends the checks early does not hide earlier findings: the report is printed first.
    try {
        check_all(job);
    } catch (const Error&) {
        print(job);
        throw;
    }
    print(job);
    conclude(job);
}

}  // namespace gpas::preflight
