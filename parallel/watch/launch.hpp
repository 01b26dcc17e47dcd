// What the launcher (mpirun, srun) and the scheduler (Slurm) tell a process before MPI is up.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace gpas {

struct Launch {
    int rank = 0;
    int size = 1;
    std::string job_key;             // the same for all ranks of one start, and for no others on this node
    std::string job_id;              // of the scheduler; empty: none
    std::int64_t attempt = 0;        // how often the scheduler has started the job again
    std::optional<double> end_time;  // of the job, seconds since 1970
};

// From the environment: OMPI_COMM_WORLD_*, PMIX_*, PMI_*, SLURM_*; GPAS_JOB_END_TIME and GPAS_ATTEMPT where there is no
// Slurm that says so.
Launch launch_of_environment();

}  // namespace gpas
