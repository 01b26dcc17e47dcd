// `gpas preflight`: before a job trains, its ranks check each other and their nodes for differences and slow parts.
#pragma once

#include "engine/run/device.hpp"
#include "io/config/load.hpp"
#include "parallel/communicator.hpp"
#include "parallel/mpi/mpi_session.hpp"

#include <memory>

namespace gpas::preflight {

struct Options {
    bool quick = false;          // skip the long measurements: bandwidths and matrix products
    bool strict = false;         // findings with Severity::slow are problems
    double slow_factor = 2.0;    // a link is slow if it is slower than the median by this factor
    double wait_seconds = 60.0;  // longest wait for another rank, if parallel.timeout_seconds is not smaller
};

// Runs all checks. Rank 0 prints a table and one line per finding to stdout. AgreedError(environment) if there are
// problems; AgreedError(bad_file) if the only problem is data that no rank can read. Collective over `world`.
void run(const LoadedConfig& config, std::unique_ptr<Communicator> world, const MpiSession& mpi,
         const Options& options);

}  // namespace gpas::preflight
