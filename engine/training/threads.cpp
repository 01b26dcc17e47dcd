#include "engine/training/threads.hpp"

#include <sched.h>

#include <algorithm>
#include <thread>

namespace gpas {

int compute_threads(std::int64_t configured, const MpiSession& mpi) {
    if (configured > 0) return int(configured);
    const int online = int(std::thread::hardware_concurrency());
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    const int mine = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : online;
    const bool bound = mine < online;
    return std::max(1, bound ? mine : mine / mpi.local_size());
}

}  // namespace gpas
