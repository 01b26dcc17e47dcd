#include "engine/training/traffic.hpp"

namespace gpas {
namespace {

PartTransfers layer_transfers(const ModelShape& shape) {
    const bool full = shape.recompute == Recompute::full;
    PartTransfers layer;
    if (!shape.sequence_parallel) {
        // The output of attention and of the MLP; the gradient of their inputs.
        layer.forward.all_reduce = 2.0;
        layer.backward_input.all_reduce = full ? 4.0 : 2.0;
        return layer;
    }
    layer.forward = {.all_gather = 2.0, .reduce_scatter = 2.0};
    layer.backward_input = {.all_gather = 2.0, .reduce_scatter = 2.0};  // gathers the gradients of the outputs
    if (full) layer.backward_input += layer.forward;
    if (shape.recompute == Recompute::selective) layer.backward_input.all_gather += 2.0;  // inputs, up to the last product
    // The inputs; late, the gradients of the outputs once more.
    layer.backward_weight.all_gather = shape.split_backward ? 4.0 : 2.0;
    return layer;
}

// Forward of the embedding, backward of the head; the head's forward runs in its backward.
PartTransfers ends_transfers(const ModelPart& part, const ModelShape& shape) {
    PartTransfers ends;
    const StreamTransfers sum =
        shape.sequence_parallel ? StreamTransfers{.reduce_scatter = 1.0} : StreamTransfers{.all_reduce = 1.0};
    const StreamTransfers whole = shape.sequence_parallel ? StreamTransfers{.all_gather = 1.0} : StreamTransfers{};
    if (part.embedding) {
        ends.forward += sum;
        ends.backward_input += whole;
    }
    if (part.head) {
        ends.backward_input += whole;
        ends.backward_input += sum;
    }
    return ends;
}

double bytes_of(const GradientBucket& bucket, Dtype dtype) {
    return double(bucket.elements.size() * bytes_per_element(dtype));
}

// As GradientSync: buckets over the data group, then what other groups share.
void add_gradients(StepTraffic& traffic, const ReplicaShape& shape) {
    Arena arena = Arena::measuring();
    const ParameterStore store(parameter_specs(shape.model, shape.optimizer, shape.parts), shape.store, arena);
    for (const GradientBucket& bucket : store.buckets()) {
        if (shape.store.data_size == 1) break;
        (bucket.sharded ? traffic.gradient_reduce_scatter : traffic.gradient_all_reduce) += bytes_of(bucket, Dtype::fp32);
        if (bucket.sharded) traffic.weight_all_gather += bytes_of(bucket, shape.compute.dtype);
    }
    for (std::size_t i = 0; i < store.specs().size(); ++i)
        if (store.specs()[i].shared) traffic.tied_all_reduce += double(store.slab(i).elements) * sizeof(float);
    for (const OwnedPiece& piece : store.owned())
        if (shape.compute.sequence_parallel && store.specs()[piece.parameter].tensor_axis < 0)
            traffic.norm_all_reduce += double(piece.elements.size()) * sizeof(float);
}

}  // namespace

StreamTransfers& StreamTransfers::operator+=(const StreamTransfers& other) {
    all_reduce += other.all_reduce;
    all_gather += other.all_gather;
    reduce_scatter += other.reduce_scatter;
    return *this;
}

StreamTransfers StreamTransfers::operator*(double times) const {
    return {.all_reduce = times * all_reduce, .all_gather = times * all_gather, .reduce_scatter = times * reduce_scatter};
}

PartTransfers part_transfers(const ModelPart& part, const ModelShape& shape) {
    if (shape.tensor_size == 1) return {};
    PartTransfers transfers = ends_transfers(part, shape);
    const PartTransfers layer = layer_transfers(shape);
    const double layers = double(part.layers.size());
    transfers.forward += layer.forward * layers;
    transfers.backward_input += layer.backward_input * layers;
    transfers.backward_weight += layer.backward_weight * layers;
    return transfers;
}

std::int64_t stream_bytes(const ReplicaShape& shape) {
    return shape.compute.tokens() * shape.model.hidden_size * bytes_per_element(shape.compute.dtype);
}

std::int64_t message_bytes(const ReplicaShape& shape) {
    return shape.compute.rows() * shape.model.hidden_size * bytes_per_element(shape.compute.dtype);
}

std::int64_t softmax_bytes(const ReplicaShape& shape) {
    const std::int64_t ranks = shape.compute.tensor_size;
    return ranks > 1 ? shape.compute.tokens() * 3 * ranks * std::int64_t(sizeof(float)) : 0;
}

StepTraffic step_traffic(const ReplicaShape& shape, std::int64_t micro_batches) {
    StepTraffic traffic;
    StreamTransfers transfers;
    double messages = 0.0;  // a stream on, a gradient back
    for (const ModelPart& part : shape.parts) {
        const PartTransfers of_part = part_transfers(part, shape.compute);
        transfers += of_part.forward;
        transfers += of_part.backward_input;
        transfers += of_part.backward_weight;
        if (shape.has_neighbours) messages += (part.head ? 0.0 : 1.0) + (part.embedding ? 0.0 : 1.0);
        if (part.head) traffic.tensor_all_gather += double(micro_batches * softmax_bytes(shape));
    }
    const double streams = double(micro_batches * stream_bytes(shape));
    traffic.tensor_all_reduce += transfers.all_reduce * streams;
    traffic.tensor_all_gather += transfers.all_gather * streams;
    traffic.tensor_reduce_scatter += transfers.reduce_scatter * streams;
    traffic.pipeline_send = messages * double(micro_batches * message_bytes(shape));
    add_gradients(traffic, shape);
    return traffic;
}

}  // namespace gpas
