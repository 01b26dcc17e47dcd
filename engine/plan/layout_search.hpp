// Which layouts a run could have, and how fast they are by prediction.
#pragma once

#include "engine/plan/step_time.hpp"

#include <functional>
#include <string>
#include <vector>

namespace gpas {

// A layout of `ranks` ranks: overrides of the configuration.
struct LayoutChoice {
    std::vector<std::string> overrides;
    RunPlan plan;
    StepTime time;
};

struct LayoutSearch {
    std::int64_t ranks = 1;
    int threads = 1;
    Device device = Device::cpu;
    double memory_bytes = 0.0;  // of a device; on a GPU the overhead comes out of it. 0: any
};

// Every layout that the configuration allows and that fits, fastest first. reload: the configuration with these
// overrides; layouts that it refuses are left out.
std::vector<LayoutChoice> search_layouts(const RunConfig& config, const LayoutSearch& search, const DeviceSpeed& speed,
                                         const std::function<LoadedConfig(const std::vector<std::string>&)>& reload);

// What a rank of this plan takes of a device: its arenas, and on a GPU what stands beside them.
std::int64_t device_bytes_of(const RunConfig& config, const RunPlan& plan, Device device, int per_node);

}  // namespace gpas
