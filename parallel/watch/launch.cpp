#include "parallel/watch/launch.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <cstdlib>
#include <initializer_list>

namespace gpas {
namespace {

std::string first_of(std::initializer_list<const char*> names) {
    for (const char* name : names)
        if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return value;
    return {};
}

std::optional<double> number_of(std::initializer_list<const char*> names) {
    const std::string text = first_of(names);
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0') return std::nullopt;
    return value;
}

}  // namespace

Launch launch_of_environment() {
    Launch launch;
    // What srun sets stands in the environment of mpirun's processes too, where it tells of the batch script: so last.
    const bool by_srun = !first_of({"SLURM_STEP_ID"}).empty() && first_of({"OMPI_COMM_WORLD_RANK"}).empty();
    const auto rank = by_srun ? number_of({"PMIX_RANK", "SLURM_PROCID"})
                              : number_of({"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"});
    const auto size =
        by_srun ? number_of({"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"}) : number_of({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"});
    launch.rank = int(rank.value_or(0));
    launch.size = int(size.value_or(1));
    launch.job_id = first_of({"SLURM_JOB_ID"});
    launch.attempt = std::int64_t(number_of({"SLURM_RESTART_COUNT", "GPAS_ATTEMPT"}).value_or(0));
    launch.end_time = number_of({"SLURM_JOB_END_TIME", "GPAS_JOB_END_TIME"});
    launch.job_key = first_of({"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"});
    if (launch.job_key.empty() && !launch.job_id.empty())
        launch.job_key = launch.job_id + "." + first_of({"SLURM_STEP_ID"});
    if (launch.job_key.empty()) launch.job_key = fmt::format("alone.{}", getpid());
    launch.job_key += fmt::format(".{}", launch.attempt);
    return launch;
}

}  // namespace gpas
