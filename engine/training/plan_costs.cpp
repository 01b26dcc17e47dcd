#include "engine/training/plan_costs.hpp"

#include <algorithm>

namespace gpas {
namespace {

struct LayerFlops {
    double products = 0.0;  // with weights
    double again = 0.0;     // of them, what selective recompute repeats: all but the last of attention and of the MLP
    double scores = 0.0;    // of attention
};

LayerFlops layer_flops(const ModelConfig& model, std::int64_t sequence) {
    const double hidden = double(model.hidden_size), width = double(model.heads * head_dim(model));
    LayerFlops layer{.scores = 2.0 * double(sequence) * width};
    layer.products = layer_forward_flops(model, sequence) - layer.scores;
    layer.again = layer.products - 2.0 * hidden * (width + double(model.ffn_size));
    return layer;
}

// Calls visit(stage, part) for each model stage, in the model's order.
template <class Visit>
void for_each_model_stage(const RunPlan& plan, Visit&& visit) {
    for (int chunk = 0; chunk < plan.pipeline.chunks; ++chunk)
        for (const RankPlan& stage : plan.stages) visit(stage, stage.shape.parts[std::size_t(chunk)]);
}

PipelineCosts flops_of(const RunPlan& plan) {
    PipelineCosts costs;
    for_each_model_stage(plan, [&](const RankPlan& stage, const ModelPart& part) {
        const PartFlops flops = part_flops(part, stage.shape);
        costs.forward.push_back(flops.forward);
        costs.backward_input.push_back(flops.backward_input);
        costs.backward_weight.push_back(flops.backward_weight);
    });
    return costs;
}

double sum(const std::vector<double>& values) {
    double total = 0.0;
    for (const double value : values) total += value;
    return total;
}

// Bytes a second between the ranks of a group; they lie `stride` apart.
double group_bytes(const std::vector<int>& group, const DeviceSpeed& speed) {
    return group.back() < speed.per_node ? speed.link_bytes : speed.network_bytes;
}

// Bytes that a ring of n ranks moves through each of them.
double ring_bytes(double reduced, double gathered, double scattered, std::size_t n) {
    return (2.0 * reduced + gathered + scattered) * double(n - 1) / double(n);
}

PipelineCosts seconds_of(const RunPlan& plan, const DeviceSpeed& speed) {
    PipelineCosts costs = flops_of(plan);
    const double tensor_bytes = group_bytes(plan.groups.tensor, speed);
    const std::size_t t = plan.groups.tensor.size();
    std::size_t i = 0;
    for_each_model_stage(plan, [&](const RankPlan& stage, const ModelPart& part) {
        const PartTransfers transfers = part_transfers(part, stage.shape.compute);
        const double stream = double(stream_bytes(stage.shape));
        const auto add = [&](double& cost, const StreamTransfers& moved, double gathered) {
            cost = cost / speed.flops + ring_bytes(moved.all_reduce * stream, moved.all_gather * stream + gathered,
                                                   moved.reduce_scatter * stream, t) /
                                            tensor_bytes;
        };
        add(costs.forward[i], transfers.forward, 0.0);
        add(costs.backward_input[i], transfers.backward_input, part.head ? double(softmax_bytes(stage.shape)) : 0.0);
        add(costs.backward_weight[i], transfers.backward_weight, 0.0);
        ++i;
    });
    if (plan.mesh.pipeline > 1)
        costs.message = double(message_bytes(plan.stages.front().shape)) / group_bytes(plan.groups.pipeline, speed);
    return costs;
}

// Gradients of a bucket travel while the last micro-batch's backward goes on; those of the last bucket do not.
double data_parallel_seconds(const RunConfig& config, const RunPlan& plan, const PipelineCosts& costs,
                             const DeviceSpeed& speed) {
    if (plan.mesh.data == 1) return 0.0;
    const double bytes = group_bytes(plan.groups.data, speed);
    const std::size_t d = plan.groups.data.size();
    const double bucket = config.parallel.bucket_mib > 0 ? double(config.parallel.bucket_mib << 20) : HUGE_VAL;
    double longest = 0.0;
    for (std::size_t stage = 0; stage < plan.stages.size(); ++stage) {
        const StepTraffic& traffic = plan.stages[stage].traffic;
        const double moved = ring_bytes(traffic.gradient_all_reduce, 0.0, traffic.gradient_reduce_scatter, d);
        const double last = moved * std::min(1.0, bucket / double(plan.stages[stage].memory.gradient_bytes));
        const double hidden_behind = costs.backward_input[stage] + costs.backward_weight[stage];
        const double exposed = std::max(last / bytes, moved / bytes - hidden_behind);
        longest = std::max(longest, exposed + ring_bytes(0.0, traffic.weight_all_gather, 0.0, d) / bytes);
    }
    return longest;
}

}  // namespace

PartFlops part_flops(const ModelPart& part, const ReplicaShape& shape) {
    const ModelShape& compute = shape.compute;
    const LayerFlops layer = layer_flops(shape.model, compute.sequence);
    const double again = compute.recompute == Recompute::full        ? layer.products + layer.scores
                         : compute.recompute == Recompute::selective ? layer.again + layer.scores
                                                                     : 0.0;
    const double mine = double(compute.tokens()) / double(compute.tensor_size);
    const double layers = mine * double(part.layers.size());
    const double head = part.head ? mine * head_forward_flops(shape.model) : 0.0;
    return {.forward = layers * (layer.products + layer.scores),
            .backward_input = layers * (layer.products + 2.0 * layer.scores + again) + 3.0 * head,
            .backward_weight = layers * layer.products};
}

double played_seconds(const PipelineShape& shape, const PipelineCosts& costs) {
    const std::int64_t stages = shape.stages;
    PipelineShape part = shape;
    part.micro_batches = 6 * stages + shape.micro_batches % stages;
    if (shape.micro_batches <= part.micro_batches + 2 * stages) return simulate(shape, costs).seconds;
    const double fewer = simulate(part, costs).seconds;
    const double repeats = double(shape.micro_batches - part.micro_batches) / double(2 * stages);
    part.micro_batches += 2 * stages;
    return fewer + repeats * (simulate(part, costs).seconds - fewer);
}

double bubble_share(const RunPlan& plan) {
    const PipelineCosts costs = flops_of(plan);
    const double busy = sum(costs.forward) + sum(costs.backward_input) + sum(costs.backward_weight);
    const double seconds = played_seconds(plan.pipeline, costs);
    return 1.0 - double(plan.pipeline.micro_batches) * busy / (double(plan.mesh.pipeline) * seconds);
}

double predicted_step_seconds(const RunConfig& config, const RunPlan& plan, const DeviceSpeed& speed) {
    const PipelineCosts costs = seconds_of(plan, speed);
    return played_seconds(plan.pipeline, costs) + data_parallel_seconds(config, plan, costs, speed);
}

}  // namespace gpas
