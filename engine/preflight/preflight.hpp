// `gpas preflight`: all ranks of a job look for the odd one out before it trains.
#pragma once

#include "engine/run/device.hpp"
#include "io/config/load.hpp"
#include "parallel/communicator.hpp"

#include <memory>

namespace gpas::preflight {

struct Options {
    bool quick = false;          // nothing that takes long: bandwidths and matrix products
    bool strict = false;         // what is slow is a problem, too
    double slow_factor = 2.0;    // a link is slow that is slower than the median by this
    double wait_seconds = 60.0;  // longest wait for another rank, if parallel.timeout_seconds is not less
};

// Rank 0 prints a table and one line for each finding on stdout. AgreedError(environment) where there are problems,
// AgreedError(bad_file) where no rank can read the data. Collective.
void run(const LoadedConfig& config, std::unique_ptr<Communicator> world, const MpiSession& mpi,
         const Options& options);

}  // namespace gpas::preflight
