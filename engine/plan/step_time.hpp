// Predicts the seconds of a step, and the share of each part.
#pragma once

#include "engine/plan/device_speed.hpp"
#include "engine/plan/plan.hpp"

#include <array>
#include <string_view>

namespace gpas {

// Of a step, as seen by the mean rank; they add up to the whole.
struct StepTime {
    double compute = 0.0;   // products and attention
    double memory = 0.0;    // memory-bound kernels and the optimizer
    double tensor = 0.0;    // waiting for tensor-parallel ranks
    double data = 0.0;      // waiting for data-parallel ranks: what backward does not hide
    double pipeline = 0.0;  // the bubble: unequal stages, filling, draining, messages between stages
    double total() const { return compute + memory + tensor + data + pipeline; }
};

// The schedule played through with what each stage computes and the messages it waits for, then gradients of
// data-parallel ranks as far as the last backward does not hide them, the optimizer, and the gathered weights.
StepTime predict_step(const LoadedConfig& config, const RunPlan& plan, const DeviceSpeed& speed);

// The two largest shares of a step, larger first: "compute", "memory bandwidth", "tensor-parallel messages",
// "data-parallel messages", "pipeline bubble".
std::array<std::string_view, 2> bounds_of(const StepTime& time);

}  // namespace gpas
