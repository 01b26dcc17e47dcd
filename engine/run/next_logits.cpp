#include "engine/run/next_logits.hpp"

#include "base/error.hpp"

#include <algorithm>

namespace gpas {

ReplicaShape generation_shape(const RunConfig& config, MeshSize mesh, MeshPlace place, std::int64_t batch, int threads,
                              Device device) {
    RunConfig generating = config;
    generating.training.micro_batch_size = batch;
    generating.parallel.sequence_parallel = false;
    ReplicaShape shape = replica_shape(generating, mesh, place, threads, false, device);
    shape.compute.recompute = Recompute::none;
    shape.in_flight.assign(shape.parts.size(), 1);
    shape.row_slots = 1;
    return shape;
}

NextLogits::NextLogits(Replica& replica, Mesh& mesh) : replica_(replica), mesh_(mesh) {
    require(mesh.size.data == 1, "generation on {} data-parallel ranks", mesh.size.data);
    if (!mesh.last_stage()) return;
    ModelShape shape = replica.shape().compute;
    for (shape.tensor_rank = 0; shape.tensor_rank < shape.tensor_size; ++shape.tensor_rank)
        columns_.push_back(vocabulary_rows(replica.shape().model, shape));
    logits_.resize(std::size_t(batch() * vocabulary()));
}

std::span<const float> NextLogits::after(std::span<const std::int32_t> tokens, std::int64_t position) {
    std::vector<std::int32_t> given(tokens.begin(), tokens.end());
    const std::int64_t count = std::int64_t(given.size());
    const Tensor rows = replica_.load_rows({.tokens = Tensor(given.data(), Dtype::int32, {count})}, 0).tokens;
    for (int chunk = 0; chunk < int(replica_.shape().parts.size()); ++chunk) forward(chunk, rows, position);
    if (!mesh_.last_stage()) return {};
    const Range own = columns_[std::size_t(mesh_.place.tensor)];
    part_.resize(std::size_t(batch() * own.size()));
    replica_.read_logits(Tensor(part_.data(), Dtype::fp32, {batch(), own.size()}), count / batch() - 1);
    gather_columns();
    return logits_;
}

// One chunk's part of the pass. Stages take turns: a token depends on all stages of the token before.
void NextLogits::forward(int chunk, Tensor tokens, std::int64_t position) {
    const PipelineShape pipeline{
        .stages = mesh_.size.pipeline, .chunks = int(replica_.shape().parts.size()), .micro_batches = 1};
    const PipelineAction action{PipelineWork::forward, 0, chunk};
    const Tensor input = replica_.memory().inputs[std::size_t(chunk)];
    const PipelineMessage before = input_of(pipeline, mesh_.place.pipeline, action);
    const PipelineMessage next = output_of(pipeline, mesh_.place.pipeline, action);
    if (before.exists)
        mesh_.pipeline_forward->start_receive(input.slice(0, tokens.elements()), before.peer, "activations")->wait();
    const Tensor output =
        replica_.memory().models[std::size_t(chunk)][0].extend(replica_.context, tokens, input, position);
    if (next.exists) mesh_.pipeline_forward->start_send(output, next.peer, "activations")->wait();
}

// logits_ = the columns of all tensor-parallel ranks. Afterwards part_ holds those of the last rank.
void NextLogits::gather_columns() {
    const std::vector<float> own = part_;
    for (int rank = 0; rank < mesh_.size.tensor; ++rank) {
        const Range columns = columns_[std::size_t(rank)];
        part_.resize(std::size_t(batch() * columns.size()));
        if (rank == mesh_.place.tensor) part_ = own;
        if (mesh_.size.tensor > 1)
            mesh_.tensor->broadcast(part_.data(), std::int64_t(part_.size() * sizeof(float)), rank, "logits");
        for (std::int64_t sample = 0; sample < batch(); ++sample)
            std::copy_n(part_.begin() + sample * columns.size(), columns.size(),
                        logits_.begin() + sample * vocabulary() + columns.begin);
    }
}

}  // namespace gpas
