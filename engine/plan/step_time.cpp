#include "engine/plan/step_time.hpp"

#include "engine/plan/step_cost.hpp"
#include "parallel/schedule/simulation.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

namespace gpas {
namespace {

// Number of ranks per node in a group of `size` ranks whose neighbours are `stride` world ranks apart.
int ranks_of_node(int size, int stride, int per_node) { return std::clamp(per_node / stride, 1, size); }

// Link speed of such a group. If the group spans nodes, its messages use the network adapters of all its ranks on
// a node; the latency is the mean over the steps of the ring.
MessageSpeed group_speed(int size, int stride, const DeviceSpeed& speed) {
    const int together = ranks_of_node(size, stride, speed.per_node);
    if (together == size) return speed.node;
    return {.bytes = std::min(speed.node.bytes, together * speed.network.bytes),
            .latency = (speed.node.latency * (together - 1) + speed.network.latency) / together};
}

class Prediction {
public:
    Prediction(const LoadedConfig& loaded, const RunPlan& plan, const DeviceSpeed& speed)
        : config_(loaded.values), plan_(plan), speed_(speed), mesh_(plan.mesh) {
        const bool data_first = config_.parallel.order == MeshOrder::tensor_data_pipeline;
        data_stride_ = mesh_.tensor * (data_first ? 1 : mesh_.pipeline);
        pipeline_stride_ = mesh_.tensor * (data_first ? mesh_.data : 1);
        for (int chunk = 0; chunk < plan.pipeline.chunks; ++chunk)
            for (const RankPlan& stage : plan.stages)
                parts_.push_back(seconds_of(stage, stage.parts[std::size_t(chunk)]));
    }

    StepTime time() const {
        const PipelineSimulation played = simulate(plan_.pipeline, costs());
        StepTime time;
        const double stages = double(plan_.stages.size()), micro = double(plan_.pipeline.micro_batches);
        for (const PartSeconds& part : parts_)
            for (const WorkSeconds* work : {&part.forward, &part.backward_input, &part.backward_weight}) {
                time.compute += micro * work->compute / stages;
                time.memory += micro * work->memory / stages;
                time.tensor += micro * work->tensor / stages;
            }
        time.pipeline = std::max(0.0, played.seconds - time.total());
        const RankPlan& largest = plan_.largest();
        const double gradients = double(largest.memory.gradient_bytes) / sizeof(float);
        const bool sharded = config_.parallel.sharded_optimizer && mesh_.data > 1;
        time.memory += update_seconds(gradients, sharded ? gradients / mesh_.data : gradients,
                                      config_.compute.dtype == ComputeDtype::bf16, speed_)
                           .memory;
        time.data = data_seconds(largest);
        return time;
    }

private:
    PartSeconds seconds_of(const RankPlan& stage, const ModelPart& part) const {
        ModelShape shape = stage.compute;
        if (speed_.head_chunk > 0) shape.head_chunk = speed_.head_chunk;
        const double stream =
            double(shape.padded_tokens() * config_.model.hidden_size) * double(bytes_per_element(shape.dtype));
        const double message = ring_seconds(stream, mesh_.tensor, group_speed(mesh_.tensor, 1, speed_));
        return part_seconds(config_.model, part, shape, speed_, message);
    }

    PipelineCosts costs() const {
        PipelineCosts costs;
        for (const PartSeconds& part : parts_) {
            costs.forward.push_back(part.forward.total());
            costs.backward_input.push_back(part.backward_input.total());
            costs.backward_weight.push_back(part.backward_weight.total());
        }
        if (mesh_.pipeline == 1) return costs;
        const ModelShape& shape = plan_.stages.front().compute;
        const double bytes = double(shape.rows() * config_.model.hidden_size) * double(bytes_per_element(shape.dtype));
        const MessageSpeed link = 2 * pipeline_stride_ <= speed_.per_node ? speed_.node : speed_.network;
        costs.message = bytes / link.bytes + link.latency;
        return costs;
    }

    // Gradient buckets are reduced during the last micro-batch's backward, and ZeRO-1's weight buckets are gathered
    // during the next step's first forward. The last gradient bucket and the first weight bucket overlap with nothing.
    double data_seconds(const RankPlan& rank) const {
        if (mesh_.data == 1) return 0.0;
        const MessageSpeed link = group_speed(mesh_.data, data_stride_, speed_);
        const double gradients = rank.traffic.gradient_reduce, weights = rank.traffic.weight_gather;
        const double buckets =
            config_.parallel.bucket_mib > 0
                ? std::max(1.0, std::round(gradients / (double(config_.parallel.bucket_mib) * 1048576.0)))
                : 1.0;
        const double reduce = ring_seconds(gradients / buckets, mesh_.data, link) * (weights > 0 ? 1.0 : 2.0);
        const double gather = ring_seconds(weights / buckets, mesh_.data, link);
        double forward = 0.0, backward = 0.0;  // seconds of one micro-batch
        for (int chunk = 0; chunk < plan_.pipeline.chunks; ++chunk) {
            const PartSeconds& part = parts_[std::size_t(chunk * mesh_.pipeline + rank.place.pipeline)];
            forward += part.forward.total();
            backward += part.backward_input.total() + part.backward_weight.total();
        }
        return waited(buckets, reduce, backward) + waited(buckets, gather, forward);
    }
    // Seconds waited for messages of `seconds` each, if all but one of them overlap with `computing` seconds.
    double waited(double messages, double seconds, double computing) const {
        return messages * seconds - (speed_.overlaps_compute ? std::min((messages - 1.0) * seconds, computing) : 0.0);
    }

    const RunConfig& config_;
    const RunPlan& plan_;
    const DeviceSpeed& speed_;
    MeshSize mesh_;
    int data_stride_ = 1, pipeline_stride_ = 1;
    std::vector<PartSeconds> parts_;  // per model stage: [chunk · pipeline + stage]
};

}  // namespace

StepTime predict_step(const LoadedConfig& config, const RunPlan& plan, const DeviceSpeed& speed) {
    return Prediction(config, plan, speed).time();
}

std::array<std::string_view, 2> bounds_of(const StepTime& time) {
    std::array<std::pair<double, std::string_view>, 5> shares{{{time.compute, "compute"},
                                                               {time.memory, "memory bandwidth"},
                                                               {time.tensor, "tensor-parallel messages"},
                                                               {time.data, "data-parallel messages"},
                                                               {time.pipeline, "pipeline bubble"}}};
    std::stable_sort(shares.begin(), shares.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    return {shares[0].second, shares[1].second};
}

}  // namespace gpas
