// Enumerates the parallel layouts that a run could use, and predicts the time of a step with each.
#pragma once

#include "engine/plan/step_time.hpp"

#include <functional>
#include <string>
#include <vector>

namespace gpas {

struct LayoutChoice {
    std::vector<std::string> overrides;  // of the configuration ("parallel.tensor=2"); together they set the layout
    RunPlan plan;
    StepTime time;
};

struct LayoutSearch {
    std::int64_t ranks = 1;
    int threads = 1;
    Device device = Device::cpu;
    double memory_bytes = 0.0;  // per device, to be compared with device_bytes_of(); 0: no limit
};

// Every layout that the configuration permits and whose memory fits, fastest first. reload: returns the configuration
// with the given overrides; layouts for which it throws Error(usage) are left out.
std::vector<LayoutChoice> search_layouts(const RunConfig& config, const LayoutSearch& search, const DeviceSpeed& speed,
                                         const std::function<LoadedConfig(const std::vector<std::string>&)>& reload);

// Bytes that the plan's largest rank needs on its device: arenas, and on a GPU also the overhead (GpuOverhead).
std::int64_t device_bytes_of(const RunConfig& config, const RunPlan& plan, Device device, int per_node);

}  // namespace gpas
