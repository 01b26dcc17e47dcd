// Chooses the number of threads that a rank computes with.
#pragma once

#include "base/cgroup.hpp"
#include "parallel/communicator.hpp"
#include "parallel/mpi/mpi_session.hpp"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace gpas {

// The CPUs that the operating system allows one rank of a node to use.
struct RankCpus {
    std::set<int> cpus;            // affinity mask, which reflects cpusets
    std::vector<CpuQuota> quotas;  // of the rank's cgroups
    std::string group;             // path of its innermost cgroup; ranks of one group share its quotas
};
RankCpus own_cpus(const std::filesystem::path& root = "/");  // root: as for cgroup_cpu_quotas

struct ThreadChoice {
    int threads = 1;
    std::string note;     // one line for the log: the number, and its reason
    std::string warning;  // that there are more threads than CPUs; empty: there are enough CPUs
};

// `configured` threads; if that is 0, this rank's share of the node's CPUs, at least 1. Ranks that may run on the same
// CPU share it in equal parts, and so do the ranks of a cgroup with a quota. node: all ranks of the node; mine: index
// of this rank in it. Pure.
ThreadChoice choose_threads(std::int64_t configured, const std::vector<RankCpus>& node, std::size_t mine);

// The number of threads for this rank of this job. Prints to stderr the warning on one rank per node and, if `print_note`,
// the note on rank 0. Collective over all ranks.
int compute_threads(std::int64_t configured, const MpiSession& mpi, bool print_note = false);

// Starts and ends that many threads, then starts OpenMP's thread pool. Error(environment) if the system refuses
// a thread: later, in the middle of the run, OpenMP's library would end the process.
void start_threads(int threads);

}  // namespace gpas
