// Pipeline schedules as data: the list of computations of each stage, in order. The messages between stages follow from
// these lists.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gpas {

// gpipe: all forwards, then all backwards (arXiv 1811.06965). one_f_one_b: 1F1B, PipeDream-flush (arXiv 2006.09503).
// interleaved: 1F1B with several model chunks per stage (arXiv 2104.04473). zb_h1: 1F1B that computes weight gradients
// in the bubble (ZB-H1, arXiv 2401.10241).
enum class PipelineSchedule { gpipe, one_f_one_b, interleaved, zb_h1 };

struct PipelineShape {
    PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
    int stages = 1;
    int chunks = 1;  // model chunks per stage; chunk c of stage r is model stage c · stages + r
    std::int64_t micro_batches = 1;
    std::int64_t group = 0;  // interleaved: consecutive micro-batches per chunk; 0: as many as there are stages
};

enum class PipelineWork {
    forward,
    backward,         // gradients of the input and the weights
    backward_input,   // gradient of the input only
    backward_weight,  // gradients of the weights only; later than backward_input of the same micro-batch
};

struct PipelineAction {
    PipelineWork work = PipelineWork::forward;
    std::int64_t micro_batch = 0;
    int chunk = 0;
    bool operator==(const PipelineAction&) const = default;
};

// Empty if the schedule exists for this shape; otherwise the reason and what to change.
std::string why_impossible(const PipelineShape& shape);

// The computations of one stage, in order. Error(internal) if why_impossible(shape) is not empty.
std::vector<PipelineAction> pipeline_actions(const PipelineShape& shape, int stage);

// A message between neighbouring stages: activations (of a forward) or their gradient (of a backward). Each of the two
// directions has its own group, in which the messages from one stage to another match in the order of sending.
struct PipelineMessage {
    bool exists = false;
    int peer = 0;  // the stage at the other end
    std::int64_t micro_batch = 0;
    int chunk = 0;  // the chunk at the other end
};
// The message that an action needs before it starts, and the message that it sends when it has finished.
PipelineMessage input_of(const PipelineShape& shape, int stage, const PipelineAction& action);
PipelineMessage output_of(const PipelineShape& shape, int stage, const PipelineAction& action);

// The largest number of (micro-batch, chunk) pairs in flight: forward begun, backward (of the weights) not ended.
std::int64_t peak_in_flight(const std::vector<PipelineAction>& actions);

}  // namespace gpas
