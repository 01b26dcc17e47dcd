// Seconds of what one rank computes for one micro-batch, operation by operation.
#pragma once

#include "engine/model/stages.hpp"
#include "engine/model/workspace.hpp"
#include "engine/plan/device_speed.hpp"

namespace gpas {

struct WorkSeconds {
    double compute = 0.0;  // products and attention
    double memory = 0.0;   // what moves bytes, and gaps between operations
    double tensor = 0.0;   // messages of tensor-parallel ranks, which the rank waits for
    double total() const { return compute + memory + tensor; }
    WorkSeconds& operator+=(const WorkSeconds& other);
};

// Of a part of the model. A full backward takes input and weight.
struct PartSeconds {
    WorkSeconds forward, backward_input, backward_weight;
};

// shape: of the rank, with its device's head_chunk and padding. tensor: the seconds that the stream's messages take,
// of one gather or scatter of [T, C] (an all-reduce takes two).
PartSeconds part_seconds(const ModelConfig& model, const ModelPart& part, const ModelShape& shape,
                         const DeviceSpeed& speed, double tensor_message);

// What a rank does once a step: gradients set to zero, their norm, AdamW. gradients, owned: elements.
WorkSeconds update_seconds(double gradients, double owned, bool bf16, const DeviceSpeed& speed);

// A ring over `ranks` ranks that moves (ranks - 1) / ranks of `bytes` through each.
double ring_seconds(double bytes, int ranks, MessageSpeed speed);

}  // namespace gpas
