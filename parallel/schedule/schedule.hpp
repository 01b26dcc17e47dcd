// Pipeline schedules as data: what each stage computes, in order. Messages follow from that.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gpas {

// gpipe: all forwards, then all backwards (arXiv 1811.06965). one_f_one_b: PipeDream-flush (arXiv 2006.09503).
// interleaved: 1F1B over several model chunks a stage (arXiv 2104.04473). zb_h1: 1F1B whose weight gradients fill the
// bubble (arXiv 2401.10241).
enum class PipelineSchedule { gpipe, one_f_one_b, interleaved, zb_h1 };

struct PipelineShape {
    PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
    int stages = 1;
    int chunks = 1;  // model chunks a stage; chunk c of stage r is model stage c · stages + r
    std::int64_t micro_batches = 1;
    std::int64_t group = 0;  // interleaved: micro-batches that go through a chunk together; 0: stages
};

enum class PipelineWork {
    forward,
    backward,         // gradients of input and weights
    backward_input,   // of the input
    backward_weight,  // of the weights, some time after backward_input
};

struct PipelineAction {
    PipelineWork work = PipelineWork::forward;
    std::int64_t micro_batch = 0;
    int chunk = 0;
    bool operator==(const PipelineAction&) const = default;
};

// Empty when the shape is possible; else why not, and what to do.
std::string why_impossible(const PipelineShape& shape);

// What one stage computes. Error(internal) for an impossible shape.
std::vector<PipelineAction> pipeline_actions(const PipelineShape& shape, int stage);

// A stream (of a forward) or its gradient (of a backward) between neighbours. The two directions are separate channels,
// on each of which the messages from one stage to another match in order.
struct PipelineMessage {
    bool exists = false;
    int peer = 0;  // stage
    std::int64_t micro_batch = 0;
    int chunk = 0;  // of the peer
};
// What an action must have received before it starts, and what it sends when it is done.
PipelineMessage input_of(const PipelineShape& shape, int stage, const PipelineAction& action);
PipelineMessage output_of(const PipelineShape& shape, int stage, const PipelineAction& action);

// With fewer buffers for gradients of streams some stages may wait for each other indefinitely, if sends wait for their
// receivers: a stage of the interleaved schedule computes up to group - stages gradients ahead of its neighbour. Found
// by playing all sizes through with early receives, without, and with ones that wait for a buffer.
std::int64_t least_gradient_buffers(const PipelineShape& shape);

// The most pairs of micro-batch and chunk that have begun their forward and not ended their backward.
std::int64_t peak_in_flight(const std::vector<PipelineAction>& actions);

}  // namespace gpas
