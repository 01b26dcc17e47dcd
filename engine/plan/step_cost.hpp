// Predicts the seconds that one rank computes for one micro-batch, as a sum over operations.
#pragma once

#include "engine/model/stages.hpp"
#include "engine/model/workspace.hpp"
#include "engine/plan/device_speed.hpp"

namespace gpas {

struct WorkSeconds {
    double compute = 0.0;  // matrix products and attention
    double memory = 0.0;   // memory-bound kernels, and gaps between operations
    double tensor = 0.0;   // waits for messages of tensor-parallel ranks
    double total() const { return compute + memory + tensor; }
    WorkSeconds& operator+=(const WorkSeconds& other);
};

// Seconds of a part of the model. A whole backward takes backward_input + backward_weight.
struct PartSeconds {
    WorkSeconds forward, backward_input, backward_weight;
};

// shape: of the rank, with head_chunk and padding of its device. tensor_message: seconds of one all-gather or
// reduce-scatter of [T, C] over the tensor-parallel ranks (an all-reduce takes twice as long).
PartSeconds part_seconds(const ModelConfig& model, const ModelPart& part, const ModelShape& shape,
                         const DeviceSpeed& speed, double tensor_message);

// Work of a rank once per step: setting gradients to zero, gradient norm, AdamW. gradients: elements of the gradient
// buffer; owned: elements that this rank updates.
WorkSeconds update_seconds(double gradients, double owned, bool bf16, const DeviceSpeed& speed);

// Seconds of an all-gather or reduce-scatter of `bytes` in a ring: each rank sends (ranks - 1) / ranks of `bytes` in
// ranks - 1 steps.
double ring_seconds(double bytes, int ranks, MessageSpeed speed);

}  // namespace gpas
