#include "engine/training/plan.hpp"

#include "engine/training/plan_costs.hpp"
#include "engine/training/schedule.hpp"
#include "io/config/check.hpp"

#include <algorithm>

namespace gpas {
namespace {

std::int64_t parameters_of(const ReplicaShape& shape) {
    Arena arena = Arena::measuring();
    const ParameterStore store(parameter_specs(shape.model, shape.optimizer, shape.parts), shape.store, arena);
    std::int64_t count = 0;
    for (std::size_t i = 0; i < store.specs().size(); ++i) count += store.slab(i).elements;
    return count;
}

// Where sizes do not divide, the last tensor rank has one more (shard_range), the first one less.
RankPlan plan_stage(const RunConfig& config, const RunPlan& plan, int stage, int threads) {
    const MeshPlace place{.tensor = plan.mesh.tensor - 1, .data = 0, .pipeline = stage};
    const ReplicaShape shape = replica_shape(config, plan.mesh, place, threads, true);
    ReplicaShape smallest = shape;
    smallest.store.tensor_rank = 0;
    return {.place = place,
            .shape = shape,
            .parameters = parameters_of(shape),
            .least_parameters = parameters_of(smallest),
            .memory = plan_replica(shape),
            .traffic = step_traffic(shape, plan.pipeline.micro_batches)};
}

RankGroups groups_of(MeshSize mesh, MeshOrder order) {
    RankGroups groups;
    for (int i = 0; i < mesh.tensor; ++i) groups.tensor.push_back(rank_of({.tensor = i}, mesh, order));
    for (int i = 0; i < mesh.data; ++i) groups.data.push_back(rank_of({.data = i}, mesh, order));
    for (int i = 0; i < mesh.pipeline; ++i) groups.pipeline.push_back(rank_of({.pipeline = i}, mesh, order));
    return groups;
}

// At the end of a run, too; a new one is complete before an old one goes.
std::int64_t checkpoints_at_once(const RunConfig& config) {
    const std::int64_t every = config.checkpoint.every, steps = config.training.steps;
    const std::int64_t written = every > 0 ? (steps + every - 1) / every : 1;
    const std::int64_t keep = config.checkpoint.keep_last;
    return keep > 0 ? std::min(keep + 1, written) : written;
}

// At the first step, the end of the warm-up, the middle and the last step.
std::vector<LearningRateAt> learning_rates(const RunConfig& config) {
    const std::int64_t steps = config.training.steps;
    std::vector<LearningRateAt> rates;
    for (const std::int64_t step : {std::int64_t(1), config.schedule.warmup_steps, steps / 2, steps}) {
        const bool known = std::ranges::any_of(rates, [&](const LearningRateAt& at) { return at.step == step; });
        if (step < 1 || known) continue;
        rates.push_back({step, learning_rate(config.schedule, config.optimizer.learning_rate, steps, step)});
    }
    std::ranges::sort(rates, {}, &LearningRateAt::step);
    return rates;
}

}  // namespace

const RankPlan& RunPlan::largest() const {
    return *std::ranges::max_element(stages, {}, [](const RankPlan& rank) { return rank.memory.total_bytes(); });
}
std::int64_t RunPlan::least_parameters() const {
    return std::ranges::min_element(stages, {}, &RankPlan::least_parameters)->least_parameters;
}
std::int64_t RunPlan::most_parameters() const {
    return std::ranges::max_element(stages, {}, &RankPlan::parameters)->parameters;
}

RunPlan plan_run(const LoadedConfig& loaded, std::int64_t ranks, int threads) {
    const RunConfig& config = loaded.values;
    RunPlan plan{.mesh = check_for_world(loaded, ranks), .order = config.parallel.order};
    plan.groups = groups_of(plan.mesh, plan.order);
    plan.pipeline = pipeline_shape(config, plan.mesh);
    for (int stage = 0; stage < plan.mesh.pipeline; ++stage)
        plan.stages.push_back(plan_stage(config, plan, stage, threads));
    plan.bubble_share = bubble_share(plan);
    plan.flops = flops_per_token(config.model, config.data.sequence_length);
    plan.tokens_per_step = double(config.training.global_batch_size) * double(config.data.sequence_length);
    plan.parameters = parameter_count(config.model);
    plan.checkpoint_bytes = 3 * plan.parameters * std::int64_t(sizeof(float));
    plan.checkpoints = checkpoints_at_once(config);
    plan.learning_rates = learning_rates(config);
    return plan;
}

}  // namespace gpas
