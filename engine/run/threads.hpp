// How many threads a rank computes with.
#pragma once

#include "base/cgroup.hpp"
#include "parallel/communicator.hpp"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace gpas {

// What the system allows one rank of a node.
struct RankCpus {
    std::set<int> cpus;            // that it may run on: its affinity mask, which a cpuset has cut already
    std::vector<CpuQuota> quotas;  // of its cgroups
    std::string group;             // path of its innermost cgroup; ranks of one group share its quotas
};
RankCpus own_cpus(const std::filesystem::path& root = "/");  // root: as for cgroup_cpu_quotas

struct ThreadChoice {
    int threads = 1;
    std::string note;     // one line for the log: the number, and what it follows from
    std::string warning;  // more threads than CPUs; empty: there are enough
};

// configured, or if that is 0 this rank's share of the CPUs that the ranks of its node may use. A CPU that several ranks
// may run on is shared by them in equal parts, and so is a group's quota. node: all ranks of the node; mine: which of them
// this rank is.
ThreadChoice choose_threads(std::int64_t configured, const std::vector<RankCpus>& node, std::size_t mine);

// The number for this rank of this job. Prints the warning on one rank per node and, if `tell`, the note on rank 0.
// Collective over all ranks.
int compute_threads(std::int64_t configured, const MpiSession& mpi, bool tell = false);

// Starts that many threads and the pool of OpenMP, so that a shortage shows here and not in the middle of the run, where
// OpenMP's library would end the process. Error(environment).
void start_threads(int threads);

}  // namespace gpas
