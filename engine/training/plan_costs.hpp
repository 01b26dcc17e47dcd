// What the actions of a pipeline cost, for the simulation of schedules.
#pragma once

#include "engine/training/plan.hpp"

namespace gpas {

// Floating-point operations of one part and micro-batch on one rank. Causal attention counts half; what recompute
// repeats belongs to backward_input, and so does all of the LM head, which runs in one go (Head::loss_and_backward).
struct PartFlops {
    double forward = 0.0;
    double backward_input = 0.0;
    double backward_weight = 0.0;
};
PartFlops part_flops(const ModelPart& part, const ReplicaShape& shape);

// Products alone: the share of a step's forward and backward in which the average stage has nothing to do.
double bubble_share(const RunPlan& plan);

}  // namespace gpas
