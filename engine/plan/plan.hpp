// Plans a run from its configuration, without running it: memory, messages and pipeline bubble of the ranks.
#pragma once

#include "engine/step/replica.hpp"
#include "io/config/load.hpp"
#include "io/metrics/flops.hpp"

#include <string>
#include <vector>

namespace gpas {

// Bytes per step of the tensors that a rank passes to collectives and sends to neighbours.
struct StepTraffic {
    double tensor_all_reduce = 0.0;
    double tensor_all_gather = 0.0;      // of the gathered tensors
    double tensor_reduce_scatter = 0.0;  // of the tensors before the scatter
    double pipeline_send = 0.0;
    double gradient_reduce = 0.0;  // over data-parallel ranks: reduce-scatter, or all-reduce without sharded optimizer
    double weight_gather = 0.0;    // all-gather over data-parallel ranks, with the sharded optimizer
    double total() const {
        return tensor_all_reduce + tensor_all_gather + tensor_reduce_scatter + pipeline_send + gradient_reduce +
               weight_gather;
    }
};

struct RankPlan {
    MeshPlace place;
    std::vector<ModelPart> parts;
    std::int64_t parameters = 0;          // elements on this rank
    std::vector<std::int64_t> in_flight;  // per part: most micro-batches between forward and backward
    ReplicaPlan memory;
    StepTraffic traffic;
    ModelShape compute;
};

struct RunPlan {
    MeshSize mesh;
    PipelineShape pipeline;
    // One rank per pipeline stage: the last of its tensor group, which has the largest share if sizes do not divide,
    // and the first of its data group.
    std::vector<RankPlan> stages;
    double bubble_share = 0.0;  // of the time of forward and backward in a step, without other waits
    FlopsPerToken flops;
    double tokens_per_step = 0.0;
    std::int64_t parameters = 0;  // of the whole model
    std::int64_t checkpoint_bytes = 0;

    const RankPlan& largest() const;  // of the stage that needs most memory
};

// The plan of a run on `ranks` ranks. Error(usage), with the same message as `gpas train`, for a layout that `gpas
// train` refuses.
RunPlan plan_run(const LoadedConfig& config, std::int64_t ranks, int threads, Device device = Device::cpu);

}  // namespace gpas
