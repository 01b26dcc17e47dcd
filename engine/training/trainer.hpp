// A training run from start, or from where it was left, to its end.
#pragma once

#include "engine/training/device.hpp"
#include "io/config/load.hpp"
#include "parallel/communicator.hpp"

#include <memory>

namespace gpas {

// Collective over world, which it takes over. Throws AgreedError for what is wrong before the first step.
void train(const LoadedConfig& config, std::unique_ptr<Communicator> world, int threads,
           const ChosenDevice& device = {});

}  // namespace gpas
