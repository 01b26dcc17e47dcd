// What the launcher (mpirun, srun) and the scheduler (Slurm) tell a process before MPI is up.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace gpas {

struct Launch {
    int rank = 0;
    int size = 1;
    int local_size = 0;              // ranks on this node; 0: unknown
    std::string launcher;            // "srun", "mpirun of Open MPI", …: which one told the size; empty: none
    bool srun_without_pmi = false;   // srun started several tasks, and gave them nothing that MPI could meet by
    std::string job_key;             // the same for all ranks of one start, and for no others on this node
    std::string job_id;              // of the scheduler; empty: none
    std::int64_t attempt = 0;        // how often the scheduler has started the job again
    std::optional<double> end_time;  // of the job, seconds since 1970
    std::string problem;             // a variable that cannot be read: found, expected; empty: none
};

// From the environment: OMPI_COMM_WORLD_*, PMIX_*, PMI_*, SLURM_* and those of some other launchers; GPAS_JOB_END_TIME
// and GPAS_ATTEMPT if there is no Slurm that says so.
Launch launch_of_environment();

// Why MPI and the launcher do not work together, with what to do; empty: they do. Each of several processes is then a
// world of its own, and all would write the same run. mpi_size: of MPI_COMM_WORLD; 0: MPI is not up yet.
std::string launch_mismatch(const Launch& launch, int mpi_size);

}  // namespace gpas
