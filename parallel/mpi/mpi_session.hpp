// MPI for the whole process, with its watcher.
#pragma once

#include "parallel/communicator.hpp"

#include <memory>

namespace gpas {

class Rehearsal;
class Watcher;
struct WatchSettings;

// Calls MPI_Init and MPI_Finalize for the process. Also owns the process's watcher, which starts before MPI_Init and
// ends after MPI_Finalize. Without a launcher (no mpirun, no srun) the world has one rank. Error(environment) if MPI
// and the launcher do not work together.
class MpiSession {
public:
    MpiSession(int* argc, char*** argv);
    MpiSession(int* argc, char*** argv, const WatchSettings& watch);
    ~MpiSession();
    MpiSession(const MpiSession&) = delete;
    MpiSession& operator=(const MpiSession&) = delete;

    // A new group of all ranks. Collective.
    std::unique_ptr<Communicator> world() const;
    int rank() const { return rank_; }
    // This rank's index among the ranks of its node (chooses the GPU), and their number (divides the CPU threads).
    int local_rank() const { return local_rank_; }
    int local_size() const { return local_size_; }
    Watcher& watcher() const { return *watcher_; }
    // Ends every rank of the job with this exit code. For errors that only one rank has seen.
    [[noreturn]] void abort(int exit_code) const;

private:
    std::unique_ptr<Watcher> watcher_;
    std::shared_ptr<Rehearsal> rehearsal_;
    int rank_ = 0;
    int local_rank_ = 0;
    int local_size_ = 1;
};

}  // namespace gpas
