#include "engine/plan/plan.hpp"

#include "io/config/check.hpp"
#include "parallel/schedule/simulation.hpp"

#include <algorithm>

namespace gpas {
namespace {

// Number of collectives over the tensor group per micro-batch, on tensors of the size of the residual stream. The
// collectives are in attention.cpp, mlp.cpp, head.cpp and model.cpp.
struct StreamTransfers {
    double all_reduce = 0.0;
    double all_gather = 0.0;
    double reduce_scatter = 0.0;
    void add(const StreamTransfers& other, double times) {
        all_reduce += times * other.all_reduce;
        all_gather += times * other.all_gather;
        reduce_scatter += times * other.reduce_scatter;
    }
};

StreamTransfers layer_transfers(const ModelShape& shape) {
    const bool full = shape.recompute == Recompute::full;
    const bool selective = shape.recompute == Recompute::selective;
    const double forwards = full ? 2.0 : 1.0;
    if (!shape.sequence_parallel) return {.all_reduce = 2.0 * forwards + 2.0};
    // Per sub-layer backward gathers the output's gradient and the input, and with split_backward the output's gradient
    // once more.
    const double gathers = 2.0 * forwards + (selective ? 2.0 : 0.0) + 4.0 + (shape.split_backward ? 2.0 : 0.0);
    return {.all_gather = gathers, .reduce_scatter = 2.0 * forwards + 2.0};
}

StreamTransfers ends_transfers(const ModelPart& part, const ModelShape& shape) {
    StreamTransfers ends;
    const bool sequence = shape.sequence_parallel;
    if (part.embedding) ends.add(sequence ? StreamTransfers{0, 1, 1} : StreamTransfers{1, 0, 0}, 1.0);
    if (part.head) ends.add(sequence ? StreamTransfers{0, 1, 1} : StreamTransfers{1, 0, 0}, 1.0);
    return ends;
}

double stream_bytes(const ReplicaShape& shape) {
    return double(shape.compute.padded_tokens() * shape.model.hidden_size * bytes_per_element(shape.compute.dtype));
}

StepTraffic traffic_of(const ReplicaShape& shape, const ReplicaPlan& memory, std::int64_t micro_batches) {
    StepTraffic traffic;
    const double stream = stream_bytes(shape) * double(micro_batches);
    double boundaries = 0.0;
    StreamTransfers transfers;
    for (const ModelPart& part : shape.parts) {
        transfers.add(layer_transfers(shape.compute), double(part.layers.size()));
        transfers.add(ends_transfers(part, shape.compute), 1.0);
        boundaries += (part.head ? 0.0 : 1.0) + (part.embedding ? 0.0 : 1.0);  // sends a stream on, a gradient back
        if (part.head && shape.compute.tensor_size > 1)
            traffic.tensor_all_gather +=
                double(micro_batches * shape.compute.tokens() * 3 * shape.compute.tensor_size) * sizeof(float);
    }
    if (shape.compute.tensor_size > 1) {
        traffic.tensor_all_reduce += transfers.all_reduce * stream;
        traffic.tensor_all_gather += transfers.all_gather * stream;
        traffic.tensor_reduce_scatter += transfers.reduce_scatter * stream;
    }
    if (shape.has_neighbours)
        traffic.pipeline_send =
            boundaries * stream * double(shape.compute.rows()) / double(shape.compute.padded_tokens());
    if (shape.store.data_size > 1) {
        traffic.gradient_reduce = double(memory.gradient_bytes);
        if (shape.store.sharded_optimizer) traffic.weight_gather = double(memory.weight_bytes);
    }
    return traffic;
}

std::int64_t parameters_of(const ReplicaShape& shape) {
    Arena arena = Arena::measuring();
    const ParameterStore store(parameter_specs(shape.model, shape.optimizer, shape.parts), shape.store, arena);
    std::int64_t count = 0;
    for (std::size_t i = 0; i < store.specs().size(); ++i) count += store.slab(i).elements;
    return count;
}

// Floating-point operations of the forward pass of one micro-batch on one rank.
double part_flops(const RunConfig& config, const ModelPart& part) {
    const double tokens = double(config.training.micro_batch_size * config.data.sequence_length);
    const double layers = double(part.layers.size()) * layer_forward_flops(config.model, config.data.sequence_length);
    return tokens * (layers + (part.head ? head_forward_flops(config.model) : 0.0)) / double(config.parallel.tensor);
}

std::vector<ModelPart> parts_in_order(const RunPlan& plan) {
    std::vector<ModelPart> parts;
    for (int chunk = 0; chunk < plan.pipeline.chunks; ++chunk)
        for (const RankPlan& stage : plan.stages) parts.push_back(stage.parts[std::size_t(chunk)]);
    return parts;
}

// Costs of each model stage in floating-point operations of its matrix products and attention. Recomputation adds one
// forward pass (full) or 0.6 of one (selective) to backward_input.
PipelineCosts costs_of(const RunConfig& config, const RunPlan& plan) {
    PipelineCosts costs;
    const double again = config.parallel.recompute == Recompute::full        ? 1.0
                         : config.parallel.recompute == Recompute::selective ? 0.6
                                                                             : 0.0;
    for (const ModelPart& part : parts_in_order(plan)) {
        const double forward = part_flops(config, part);
        costs.forward.push_back(forward);
        costs.backward_input.push_back((1.0 + again) * forward);
        costs.backward_weight.push_back(forward);
    }
    return costs;
}

}  // namespace

const RankPlan& RunPlan::largest() const {
    return *std::max_element(stages.begin(), stages.end(), [](const RankPlan& a, const RankPlan& b) {
        return a.memory.total_bytes() < b.memory.total_bytes();
    });
}

RunPlan plan_run(const LoadedConfig& loaded, std::int64_t ranks, int threads, Device device) {
    const RunConfig& config = loaded.values;
    RunPlan plan{.mesh = check_for_world(loaded, ranks)};
    plan.pipeline = pipeline_shape(config, plan.mesh);
    for (int stage = 0; stage < plan.mesh.pipeline; ++stage) {
        // The last tensor rank has the largest share if sizes do not divide.
        const MeshPlace place{.tensor = plan.mesh.tensor - 1, .data = 0, .pipeline = stage};
        const ReplicaShape shape = replica_shape(config, plan.mesh, place, threads, true, device);
        RankPlan rank{.place = place,
                      .parts = shape.parts,
                      .parameters = parameters_of(shape),
                      .in_flight = shape.in_flight,
                      .memory = plan_replica(shape),
                      .compute = shape.compute};
        rank.traffic = traffic_of(shape, rank.memory, plan.pipeline.micro_batches);
        plan.stages.push_back(std::move(rank));
    }
    plan.flops = flops_per_token(config.model, config.data.sequence_length);
    plan.tokens_per_step = double(config.training.global_batch_size) * double(config.data.sequence_length);
    plan.parameters = parameter_count(config.model);
    plan.checkpoint_bytes = 3 * plan.parameters * std::int64_t(sizeof(float));
    const PipelineSimulation played = simulate(plan.pipeline, costs_of(config, plan));
    double busy = 0.0;
    for (const double seconds : played.busy) busy += seconds;
    plan.bubble_share = 1.0 - busy / (double(played.busy.size()) * played.seconds);
    return plan;
}

}  // namespace gpas
