// Simulates a pipeline schedule: its duration, its bubble, and whether it deadlocks. The rules for receives, sends and
// buffers are those of engine/step/pipeline.cpp, which runs the schedules.
#pragma once

#include "parallel/schedule/schedule.hpp"

#include <string>
#include <vector>

namespace gpas {

// Seconds per action for each model stage (stages · chunks entries, in model stage order), and per message.
struct PipelineCosts {
    std::vector<double> forward;
    std::vector<double> backward_input;
    std::vector<double> backward_weight;  // an unsplit backward takes backward_input + backward_weight
    double message = 0.0;

    // Equal costs for all model stages.
    static PipelineCosts uniform(const PipelineShape& shape, double forward, double backward_input,
                                 double backward_weight, double message = 0.0);
};

struct PipelineSimulation {
    double seconds = 0.0;                 // when the last stage finishes
    std::vector<double> busy;             // seconds of computation, per stage
    std::vector<std::int64_t> in_flight;  // peak_in_flight(), per stage
    std::vector<std::string> problems;  // empty: no deadlock, every message met its receive, no output was overwritten
    double bubble() const;              // seconds minus the busy seconds of the busiest stage
};

// The rules. For each action, in the order of its list, a stage
// 1. waits for the action's input,
// 2. starts to receive the input of the next action (the early receive),
// 3. computes,
// 4. starts to send the output.
// Messages: a transfer begins when the sender has started the send and the receiver has started the receive
// (rendezvous), and takes costs.message seconds. On each channel the messages match in the order of sending.
// Buffers: a stage has `gradient_buffers` buffers for gradients of activations. A gradient is received, computed and
// sent on in one buffer. If no buffer is free, the stage waits until the oldest outgoing gradient has left; this also
// holds for an early receive. If no gradient is on its way out, the stage leaves out the early receive.
// Outputs: the output of a forward must have left when the backward of its micro-batch ends. Otherwise it is a problem.
PipelineSimulation simulate(const PipelineShape& shape, const PipelineCosts& costs, int gradient_buffers = 3);
// Simulates the given lists of actions, one per stage.
PipelineSimulation simulate(const PipelineShape& shape, const PipelineCosts& costs,
                            const std::vector<std::vector<PipelineAction>>& actions, int gradient_buffers = 3);

}  // namespace gpas
