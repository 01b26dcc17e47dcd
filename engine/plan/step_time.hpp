// Predicts the seconds of a step, and their division among computing and waits.
#pragma once

#include "engine/plan/device_speed.hpp"
#include "engine/plan/plan.hpp"

#include <array>
#include <string_view>

namespace gpas {

// Seconds of a step, as means over the ranks.
struct StepTime {
    double compute = 0.0;   // matrix products and attention
    double memory = 0.0;    // memory-bound kernels and the optimizer
    double tensor = 0.0;    // waits for tensor-parallel ranks
    double data = 0.0;      // waits for data-parallel ranks that computing does not hide
    double pipeline = 0.0;  // bubble: fill and drain, unequal stages, messages between stages
    double total() const { return compute + memory + tensor + data + pipeline; }
};

// Simulates the pipeline schedule with each stage's predicted compute and message times. Adds the part of the gradient
// reduction that the last backward does not hide, the optimizer, and the part of the weight gather that the next
// forward does not hide.
StepTime predict_step(const LoadedConfig& config, const RunPlan& plan, const DeviceSpeed& speed);

// Names of the two largest parts of a step, the larger first: "compute", "memory bandwidth", "tensor-parallel
// messages", "data-parallel messages", "pipeline bubble".
std::array<std::string_view, 2> bounds_of(const StepTime& time);

}  // namespace gpas
