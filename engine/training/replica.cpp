#include "engine/training/replica.hpp"

namespace gpas {

ReplicaPlan plan_replica(const ModelConfig& model, const OptimizerConfig& optimizer, const ModelShape& shape,
                         int threads) {
    ReplicaPlan plan;
    Arena arena = Arena::measuring();
    ParameterStore store(parameter_specs(model, optimizer), shape.dtype, shape.training, arena);
    plan.parameter_bytes = arena.used_bytes();
    const Model layout(model, shape, store, arena);
    plan.activation_bytes = arena.used_bytes() - plan.parameter_bytes;
    plan.scratch_bytes = scratch_bytes(scratch_shape(model, shape, threads));
    return plan;
}

Replica::Replica(const ModelConfig& config, const OptimizerConfig& optimizer, const ModelShape& shape, int threads)
    : plan_(plan_replica(config, optimizer, shape, threads)),
      arena_(plan_.parameter_bytes + plan_.activation_bytes),
      context(threads, Arena(plan_.scratch_bytes)),
      store(parameter_specs(config, optimizer), shape.dtype, shape.training, arena_),
      model(config, shape, store, arena_) {
    model.prepare(context);
}

TokenRows rows_of(Batch& batch, bool mask_documents) {
    const std::int64_t tokens = batch.samples * batch.sequence_length;
    TokenRows rows{.tokens = Tensor(batch.tokens.data(), Dtype::int32, {tokens}),
                   .labels = Tensor(batch.labels.data(), Dtype::int32, {tokens})};
    if (mask_documents) rows.segment_begin = Tensor(batch.segment_begin.data(), Dtype::int32, {tokens});
    return rows;
}

Dtype storage_dtype(ComputeDtype dtype) { return dtype == ComputeDtype::bf16 ? Dtype::bf16 : Dtype::fp32; }

}  // namespace gpas
