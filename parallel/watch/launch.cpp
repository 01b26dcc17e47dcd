#include "parallel/watch/launch.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
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

// The most specific launcher comes first. SLURM_NTASKS is not used: a batch script has it as well, but is one process.
void set_size(Launch& launch, bool by_srun) {
    struct Source {
        const char* variable;
        const char* launcher;
    };
    constexpr Source sources[] = {{"OMPI_COMM_WORLD_SIZE", "mpirun of Open MPI"},
                                  {"PMI_SIZE", "a launcher with PMI (mpiexec of MPICH or Intel MPI, srun --mpi=pmi2)"},
                                  {"MV2_COMM_WORLD_SIZE", "mpirun of MVAPICH"},
                                  {"JSM_NAMESPACE_SIZE", "jsrun"},
                                  {"SLURM_STEP_NUM_TASKS", "srun"}};
    for (const Source& source : sources) {
        if (!by_srun && source.variable == std::string("SLURM_STEP_NUM_TASKS")) continue;
        const auto size = number_of({source.variable});
        if (!size) continue;
        launch.size = int(*size);
        launch.launcher = source.launcher;
        break;
    }
    launch.srun_without_pmi = launch.launcher == "srun" &&
                              first_of({"PMIX_RANK", "PMIX_NAMESPACE", "PMI_RANK", "PMI_FD", "PMI_JOBID"}).empty();
}

// A job key under Hydra, MPICH's launcher, which sets no job name. Hydra starts each rank in a process session of its
// own. The session leaders on one node have the same parent, Hydra's proxy, whose pid is the key. Empty without Hydra.
std::string hydra_job() {
    if (first_of({"HYDI_CONTROL_FD"}).empty()) return {};
    std::ifstream file(fmt::format("/proc/{}/stat", getsid(0)));
    std::string text;
    std::getline(file, text);
    const std::size_t name_end = text.rfind(')');  // the name may contain blanks and parentheses
    char state = 0;
    int parent = 0;
    if (name_end == std::string::npos || std::sscanf(text.c_str() + name_end + 1, " %c %d", &state, &parent) != 2)
        return {};
    return fmt::format("hydra.{}", parent);
}

// A variable that the user sets is never ignored: if it cannot be parsed or is out of range, returns the error text.
std::string problem_of(const char* name, double least, double most, const char* expected) {
    const std::string text = first_of({name});
    const std::optional<double> value = number_of({name});
    if (text.empty() || (value && *value >= least && *value <= most)) return {};
    return fmt::format("{}: found '{}', expected {}", name, text.substr(0, 60), expected);
}

}  // namespace

std::string launch_mismatch(const Launch& launch, int mpi_size) {
    const bool alone = mpi_size == 1 || (mpi_size == 0 && launch.srun_without_pmi);
    if (launch.size <= 1 || !alone) return {};
    const std::string advice =
        launch.launcher == "srun"
            ? "start the job with `srun --mpi=pmix` (`srun --mpi=list` shows what this Slurm supports) and load the MPI "
              "that gpas was built with; this MPI must support PMIx. Or start the job with the mpirun of this MPI"
            : "load the MPI that gpas was built with (`ldd gpas` names its libmpi), and start the job with its mpirun";
    return fmt::format(
        "{} started {} tasks (this is task {}), but MPI does not connect them: each task would train a run of its own in "
        "the same directory; {}",
        launch.launcher, launch.size, launch.rank, advice);
}

Launch launch_of_environment() {
    Launch launch;
    // mpirun's processes inherit srun's variables, which then describe the batch script. So srun's are used only if no
    // mpirun has set its own.
    const bool by_srun = !first_of({"SLURM_STEP_ID"}).empty() && first_of({"OMPI_COMM_WORLD_RANK"}).empty() &&
                         first_of({"HYDI_CONTROL_FD"}).empty();
    const auto rank = by_srun ? number_of({"PMIX_RANK", "SLURM_PROCID"})
                              : number_of({"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"});
    launch.rank = int(rank.value_or(0));
    set_size(launch, by_srun);
    launch.local_size = int(number_of({"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"}).value_or(0));
    if (by_srun && number_of({"SLURM_STEP_NUM_NODES"}) == 1.0) launch.local_size = launch.size;
    launch.job_id = first_of({"SLURM_JOB_ID"});
    launch.attempt = std::int64_t(number_of({"SLURM_RESTART_COUNT", "GPAS_ATTEMPT"}).value_or(0));
    launch.end_time = number_of({"SLURM_JOB_END_TIME", "GPAS_JOB_END_TIME"});
    constexpr double year_2001 = 1e9, year_5138 = 1e11;
    launch.problem = problem_of("GPAS_JOB_END_TIME", year_2001, year_5138,
                                "seconds since 1970, as `date --date='+4 hours' +%s` prints them");
    if (launch.problem.empty())
        launch.problem = problem_of("GPAS_ATTEMPT", 0.0, 1e9, "the number of earlier starts of the job, from 0");
    launch.job_key = first_of({"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"});
    if (launch.job_key.empty()) launch.job_key = hydra_job();
    if (launch.job_key.empty() && !launch.job_id.empty())
        launch.job_key = launch.job_id + "." + first_of({"SLURM_STEP_ID"});
    if (launch.job_key.empty()) launch.job_key = fmt::format("alone.{}", getpid());
    launch.job_key += fmt::format(".{}", launch.attempt);
    return launch;
}

}  // namespace gpas
