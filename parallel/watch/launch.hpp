// What a process learns from the environment variables of its launcher (mpirun, srun) and its scheduler (Slurm), before
// MPI_Init.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace gpas {

struct Launch {
    int rank = 0;
    int size = 1;
    int local_size = 0;              // ranks on this node; 0: unknown
    std::string launcher;            // the launcher that set the size: "srun", "mpirun of Open MPI", …; may be empty
    bool srun_without_pmi = false;   // srun set no PMI or PMIx variables, by which MPI would find the other ranks
    std::string job_key;             // identifies one start of one job: equal on all its ranks, unique on this node
    std::string job_id;              // the scheduler's job id; may be empty
    std::int64_t attempt = 0;        // restarts of the job by the scheduler so far
    std::optional<double> end_time;  // when the job's time limit ends, in seconds since 1970
    std::string problem;             // error text for a variable that cannot be parsed (found, expected); may be empty
};

// Reads the environment: OMPI_COMM_WORLD_*, PMIX_*, PMI_*, SLURM_* and the variables of some other launchers. Without
// Slurm's variables, GPAS_JOB_END_TIME and GPAS_ATTEMPT give end_time and attempt.
Launch launch_of_environment();

// Detects that the launcher started several processes but MPI does not connect them. Each process would then be a world
// of one rank, and all would write the same run. Returns the error text with the remedy; empty if launcher and MPI
// agree. mpi_size: the size of MPI_COMM_WORLD; 0: before MPI_Init.
std::string launch_mismatch(const Launch& launch, int mpi_size);

}  // namespace gpas
