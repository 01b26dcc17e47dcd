// A pipeline schedule played through: how long it takes, who waits, whether it comes to an end. The rules are those of
// the program that runs the schedules (engine/step/pipeline.cpp).
#pragma once

#include "parallel/schedule/schedule.hpp"

#include <string>
#include <vector>

namespace gpas {

// Seconds of each model stage (stages · chunks entries, model stage order), and of a message.
struct PipelineCosts {
    std::vector<double> forward;
    std::vector<double> backward_input;
    std::vector<double> backward_weight;  // a full backward takes both
    double message = 0.0;

    // The same for all stages.
    static PipelineCosts uniform(const PipelineShape& shape, double forward, double backward_input,
                                 double backward_weight, double message = 0.0);
};

struct PipelineSimulation {
    double seconds = 0.0;                 // until the last stage to end ends
    std::vector<double> busy;             // of each stage
    std::vector<std::int64_t> in_flight;  // of each stage, at most
    std::vector<std::string> problems;    // empty: every message arrived where it was expected and no stage hangs
    double bubble() const;                // seconds less those of the busiest stage
};

// Every stage takes its actions in order. Before an action it waits for what the action must have received; then it is
// ready to receive for the next one; it computes; it starts to send. A message moves once its sender has started it and
// its receiver is ready for it (rendezvous), and on each channel in the order of sending. A gradient is computed in one
// of `gradient_buffers`, in which it came and from which it is sent on; without a free one a stage waits for the oldest to
// leave, before it is ready to receive early too, unless all are in use. The output of a forward must have left when the
// backward of its micro-batch ends.
PipelineSimulation simulate(const PipelineShape& shape, const PipelineCosts& costs, int gradient_buffers = 3);
// The same of any lists, one for each stage.
PipelineSimulation simulate(const PipelineShape& shape, const PipelineCosts& costs,
                            const std::vector<std::vector<PipelineAction>>& actions, int gradient_buffers = 3);

}  // namespace gpas
