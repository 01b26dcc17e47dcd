// What a run will be, before it is one: memory, messages, bubble and time of every rank, from the configuration alone.
#pragma once

#include "engine/step/replica.hpp"
#include "io/config/load.hpp"
#include "io/metrics/flops.hpp"

#include <string>
#include <vector>

namespace gpas {

// Bytes of the tensors that a rank hands to collectives and neighbours in a step.
struct StepTraffic {
    double tensor_all_reduce = 0.0;
    double tensor_all_gather = 0.0;  // of the whole that is gathered
    double tensor_reduce_scatter = 0.0;
    double pipeline_send = 0.0;
    double gradient_reduce = 0.0;  // over data-parallel ranks: reduce-scatter, or all-reduce without sharded optimizer
    double weight_gather = 0.0;    // over data-parallel ranks
    double total() const {
        return tensor_all_reduce + tensor_all_gather + tensor_reduce_scatter + pipeline_send + gradient_reduce +
               weight_gather;
    }
};

struct RankPlan {
    MeshPlace place;
    std::vector<ModelPart> parts;
    std::int64_t parameters = 0;          // elements on this rank
    std::vector<std::int64_t> in_flight;  // micro-batches, of each part
    ReplicaPlan memory;
    StepTraffic traffic;
    ModelShape compute;
};

struct RunPlan {
    MeshSize mesh;
    PipelineShape pipeline;
    std::vector<RankPlan> stages;  // rank 0 of the tensor and data groups of each pipeline stage: the largest
    double bubble_share = 0.0;     // of a step's time, forward and backward alone
    FlopsPerToken flops;           // a token
    double tokens_per_step = 0.0;
    std::int64_t parameters = 0;  // of the whole model
    std::int64_t checkpoint_bytes = 0;

    const RankPlan& largest() const;  // the stage that needs most memory
};

// Error(usage) for what `gpas train` refuses on so many ranks, in the same words.
RunPlan plan_run(const LoadedConfig& config, std::int64_t ranks, int threads, Device device = Device::cpu);

}  // namespace gpas
