// What a rank hands to other ranks in a training step, from the configuration alone: the calls that the model
// (engine/model/), the pipeline and the reduction of gradients make, counted.
#pragma once

#include "engine/training/replica.hpp"

namespace gpas {

// How often something of the size of the residual stream of a micro-batch, [T,C], travels over the tensor group.
struct StreamTransfers {
    double all_reduce = 0.0;
    double all_gather = 0.0;
    double reduce_scatter = 0.0;
    StreamTransfers& operator+=(const StreamTransfers& other);
    StreamTransfers operator*(double times) const;
};

// Of one micro-batch through one part of the model. What recompute repeats belongs to backward_input.
struct PartTransfers {
    StreamTransfers forward;
    StreamTransfers backward_input;
    StreamTransfers backward_weight;
};
PartTransfers part_transfers(const ModelPart& part, const ModelShape& shape);

std::int64_t stream_bytes(const ReplicaShape& shape);    // [T,C], in the type of the forward pass
std::int64_t message_bytes(const ReplicaShape& shape);   // of a stream, or its gradient, from stage to stage
std::int64_t softmax_bytes(const ReplicaShape& shape);   // all ranks' statistics of a micro-batch's softmax: three a token

// Bytes of the tensors in a rank's calls: of gather and scatter the whole, not the rank's part. Scalars (loss, norms)
// and what metrics.gpas_every asks for are left out.
struct StepTraffic {
    double tensor_all_reduce = 0.0;
    double tensor_all_gather = 0.0;
    double tensor_reduce_scatter = 0.0;
    double norm_all_reduce = 0.0;  // sequence parallelism: gradients of norms and gates, over the tensor group
    double pipeline_send = 0.0;    // each received by another rank
    double tied_all_reduce = 0.0;  // gradient of a tied embedding, over first and last stage
    double gradient_all_reduce = 0.0;  // over data-parallel ranks: what every one of them updates
    double gradient_reduce_scatter = 0.0;
    double weight_all_gather = 0.0;
    double total() const {
        return tensor_all_reduce + tensor_all_gather + tensor_reduce_scatter + norm_all_reduce + pipeline_send +
               tied_all_reduce + gradient_all_reduce + gradient_reduce_scatter + weight_all_gather;
    }
};
StepTraffic step_traffic(const ReplicaShape& shape, std::int64_t micro_batches);

}  // namespace gpas
