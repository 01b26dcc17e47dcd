// A training run: starts or resumes, trains to the last step, saves checkpoints.
#pragma once

#include "engine/run/device.hpp"
#include "io/config/load.hpp"
#include "parallel/communicator.hpp"
#include "parallel/mpi/mpi_session.hpp"
#include "parallel/watch/watcher.hpp"

#include <memory>

namespace gpas {

// Runs the training. Collective over `world`, which it takes ownership of. session: its watcher monitors this rank and
// handles signals; null if ranks are threads of one process (tests). Throws AgreedError for errors before the first
// step, and AgreedError(unfinished) if the run was asked to save and end before its last step.
void train(const LoadedConfig& config, std::unique_ptr<Communicator> world, int threads,
           const ChosenDevice& device = {}, const MpiSession* session = nullptr);
// The settings of the configuration that the watcher of a rank needs before MPI is initialised.
WatchSettings watch_settings(const RunConfig& config);

}  // namespace gpas
