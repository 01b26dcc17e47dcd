// A training run from start, or from where it was left, to its end.
#pragma once

#include "engine/run/device.hpp"
#include "io/config/load.hpp"
#include "parallel/communicator.hpp"
#include "parallel/watch/watcher.hpp"

#include <memory>

namespace gpas {

// Collective over world, which it takes over. session: whose watcher looks at this rank and takes its signals; none
// where ranks are not processes of their own. Throws AgreedError for what is wrong before the first step, and
// AgreedError(unfinished) where the run was asked to save and end before its last step.
void train(const LoadedConfig& config, std::unique_ptr<Communicator> world, int threads,
           const ChosenDevice& device = {}, const MpiSession* session = nullptr);
// What the watchers of a run's ranks need to know of its configuration before MPI is up.
WatchSettings watch_settings(const RunConfig& config);

}  // namespace gpas
