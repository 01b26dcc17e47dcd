// What a run will be, before it is one: memory, messages, bubble and time of every rank, from the configuration alone.
#pragma once

#include "engine/training/replica.hpp"
#include "engine/training/traffic.hpp"
#include "io/config/load.hpp"
#include "io/metrics/flops.hpp"
#include "parallel/schedule_simulation.hpp"

#include <functional>
#include <string>
#include <vector>

namespace gpas {

// The groups of rank 0, itself first. The others' lie as far apart.
struct RankGroups {
    std::vector<int> tensor;
    std::vector<int> data;
    std::vector<int> pipeline;
};

// A pipeline stage, as its largest rank has it.
struct RankPlan {
    MeshPlace place;
    ReplicaShape shape;
    std::int64_t parameters = 0;        // elements on this rank
    std::int64_t least_parameters = 0;  // on the stage's smallest rank
    ReplicaPlan memory;
    StepTraffic traffic;
};

struct LearningRateAt {
    std::int64_t step = 0;  // from 1
    double rate = 0.0;
};

struct RunPlan {
    MeshSize mesh;
    MeshOrder order = MeshOrder::tensor_data_pipeline;
    RankGroups groups;
    PipelineShape pipeline;
    std::vector<RankPlan> stages;
    double bubble_share = 0.0;  // of a step's forward and backward: what the average stage waits, messages not counted
    FlopsPerToken flops;        // a token
    double tokens_per_step = 0.0;
    std::int64_t parameters = 0;        // of the whole model
    std::int64_t checkpoint_bytes = 0;  // of one: fp32 weights and both moments
    std::int64_t checkpoints = 0;       // on the disk at once, at most: the kept ones and the one being written
    std::vector<LearningRateAt> learning_rates;

    const RankPlan& largest() const;  // the stage that needs most memory
    std::int64_t least_parameters() const;
    std::int64_t most_parameters() const;
};

// Error(usage) for what `gpas train` refuses on so many ranks, in the same words.
RunPlan plan_run(const LoadedConfig& config, std::int64_t ranks, int threads);

// What a device and its connections can do.
struct DeviceSpeed {
    double flops = 0.0;          // a second, reached by matrix products
    double link_bytes = 0.0;     // a second, one way, within a node
    double network_bytes = 0.0;  // a second, one way, between nodes
    int per_node = 8;
};

// Seconds of a step. The schedule is played through, each action with its products, its tensor-parallel messages (which
// nothing hides) and, between stages, a message; then the gradients that the last backward did not hide, and the new
// weights. A ring moves (n-1)/n of a tensor to gather or scatter it, twice that to reduce it everywhere. Elementwise
// work, the optimizer's update, latencies and the data are not counted.
double predicted_step_seconds(const RunConfig& config, const RunPlan& plan, const DeviceSpeed& speed);

// Of a long schedule only the beginning and the end are played; in between it repeats.
double played_seconds(const PipelineShape& shape, const PipelineCosts& costs);

// A layout of the ranks: overrides to add to the configuration.
struct LayoutChoice {
    std::vector<std::string> overrides;
    RunPlan plan;
    double seconds = 0.0;
};

// Every layout that the configuration allows and that fits into memory_bytes (0: any), fastest first: tensor x pipeline
// x data, sequence parallelism, 1f1b, interleaved with two chunks and zb_h1, recompute, micro-batch (divisors of the
// configured one, and 2, 4 and 8 times it). reload: the configuration with these overrides; what it refuses is left
// out.
std::vector<LayoutChoice> search_layouts(const RunConfig& config, std::int64_t ranks, int threads, double memory_bytes,
                                         const DeviceSpeed& speed,
                                         const std::function<LoadedConfig(const std::vector<std::string>&)>& reload);

}  // namespace gpas
