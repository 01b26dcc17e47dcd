#include "engine/step/replica.hpp"

#include "base/error.hpp"
#include "engine/run/host_state.hpp"
#include "engine/run/threads.hpp"
#include "io/config/stage_layers.hpp"

#include <algorithm>
#include <limits>

namespace gpas {
namespace {

// With neighbours one gradient may be received and one sent while a third is computed on.
constexpr std::int64_t gradient_buffers_with_neighbours = 3;

// Per chunk: the most micro-batches that have begun their forward and not ended their backward.
std::vector<std::int64_t> in_flight_of_chunks(const std::vector<PipelineAction>& actions, int chunks, bool split) {
    const PipelineWork last = split ? PipelineWork::backward_weight : PipelineWork::backward;
    std::vector<std::int64_t> now(std::size_t(chunks), 0);
    std::vector<std::int64_t> most(std::size_t(chunks), 1);
    for (const PipelineAction& action : actions) {
        const std::size_t chunk = std::size_t(action.chunk);
        if (action.work == PipelineWork::forward) most[chunk] = std::max(most[chunk], ++now[chunk]);
        if (action.work == last || action.work == PipelineWork::backward) --now[chunk];
    }
    return most;
}

// Elements of the owned gradients that GradientSync sums over the tensor-parallel ranks.
std::int64_t partial_elements(const ParameterStore& store, bool sequence_parallel) {
    std::int64_t sum = 0;
    for (const OwnedPiece& piece : store.owned())
        if (store.specs()[piece.parameter].partial_gradient(sequence_parallel)) sum += piece.gradient.elements();
    return sum;
}

std::int64_t scratch_bytes_of(const ReplicaShape& shape) {
    ScratchShape scratch = scratch_shape(shape.model, shape.compute, shape.threads);
    scratch.device = shape.device;
    return scratch_bytes(scratch);
}

std::int64_t count(const std::vector<std::int64_t>& in_flight) {
    std::int64_t sum = 0;
    for (const std::int64_t n : in_flight) sum += n;
    return sum;
}

}  // namespace

ReplicaShape whole_replica(const ModelConfig& model, const OptimizerConfig& optimizer, const ModelShape& compute,
                           int threads) {
    return {.model = model,
            .optimizer = optimizer,
            .compute = compute,
            .parts = {whole_model(model)},
            .in_flight = {1},
            .store = {.compute_dtype = compute.dtype, .training = compute.training},
            .threads = threads};
}

void place_on(ReplicaShape& shape, Device device) {
    constexpr std::int64_t bf16_in_16_bytes = 8;
    shape.device = device;
    if (device == Device::cpu) return;
    shape.compute.ffn_multiple = shape.store.ffn_multiple = bf16_in_16_bytes;
    shape.compute.head_chunk = 2048;  // products of 512 rows leave half of a GPU idle (docs/results/gpu.md)
}

PipelineShape pipeline_shape(const RunConfig& config, MeshSize mesh) {
    return {.schedule = config.parallel.schedule,
            .stages = mesh.pipeline,
            .chunks = int(config.parallel.virtual_chunks),
            .micro_batches =
                config.training.global_batch_size / (config.training.micro_batch_size * std::int64_t(mesh.data))};
}

ReplicaShape replica_shape(const RunConfig& config, MeshSize mesh, MeshPlace place, int threads, bool training,
                           Device device) {
    const ParallelConfig& parallel = config.parallel;
    const PipelineShape pipeline = pipeline_shape(config, mesh);
    const std::vector<Range> layers =
        stage_layers(config.model, config.data.sequence_length, std::int64_t(pipeline.stages) * pipeline.chunks,
                     parse_stage_layers(parallel.stage_layers));
    const Dtype dtype = storage_dtype(config.compute.dtype);
    const bool split = training && pipeline.schedule == PipelineSchedule::zb_h1 && mesh.pipeline > 1;
    constexpr std::int64_t mebibyte = std::int64_t(1) << 20;
    ReplicaShape shape{
        .model = config.model,
        .optimizer = config.optimizer,
        .compute = {.batch = config.training.micro_batch_size,
                    .sequence = config.data.sequence_length,
                    .dtype = dtype,
                    .training = training,
                    .recompute = training ? parallel.recompute : Recompute::selective,
                    .split_backward = split,
                    .tensor_rank = place.tensor,
                    .tensor_size = mesh.tensor,
                    .sequence_parallel = parallel.sequence_parallel && mesh.tensor > 1,
                    .tensor_overlap = parallel.tensor_overlap && parallel.sequence_parallel && mesh.tensor > 1},
        .parts = parts_of_stage(layers, place.pipeline, mesh.pipeline),
        .store = {.compute_dtype = dtype,
                  .training = training,
                  .tensor_rank = place.tensor,
                  .tensor_size = mesh.tensor,
                  .data_rank = place.data,
                  .data_size = mesh.data,
                  .sharded_optimizer = parallel.sharded_optimizer,
                  .bucket_elements = mesh.data > 1 ? parallel.bucket_mib * mebibyte / std::int64_t(sizeof(float)) : 0},
        .threads = threads,
        .row_slots = pipeline.micro_batches,
        .has_neighbours = mesh.pipeline > 1};
    place_on(shape, device);
    shape.in_flight = training ? in_flight_of_chunks(pipeline_actions(pipeline, place.pipeline), pipeline.chunks, split)
                               : std::vector<std::int64_t>(shape.parts.size(), mesh.pipeline > 1 ? 2 : 1);
    return shape;
}

ReplicaMemory::ReplicaMemory(const ReplicaShape& shape, const TensorParallel& tensor, Arena& memory, Arena& recomputed)
    : store(parameter_specs(shape.model, shape.optimizer, shape.parts), shape.store, memory),
      work(shape.model, shape.compute, shape.parts.back().head, memory) {
    const std::int64_t before = memory.used_bytes();
    for (std::size_t chunk = 0; chunk < shape.parts.size(); ++chunk) {
        models.emplace_back();
        for (std::int64_t slot = 0; slot < shape.in_flight[chunk]; ++slot)
            models.back().emplace_back(shape.model, shape.parts[chunk], shape.compute,
                                       ModelResources{.store = store, .work = work, .group = tensor},
                                       ModelArenas{.kept = memory, .recomputed = recomputed});
    }
    const auto stream = [&] {
        return memory.allocate(shape.compute.dtype, {shape.compute.rows(), shape.model.hidden_size});
    };
    for (std::int64_t i = 0; i < count(shape.in_flight); ++i) inputs.push_back(stream());
    activation_bytes = memory.used_bytes() - before;
    if (shape.device == Device::cuda)
        token_rows = memory.allocate(Dtype::int32, {shape.row_slots, 3, shape.compute.tokens()});
    if (shape.compute.training && shape.store.tensor_size > 1)
        if (const std::int64_t partial = partial_elements(store, shape.compute.sequence_parallel); partial > 0)
            packed = memory.allocate(Dtype::fp32, {partial});
    if (shape.has_neighbours) inputs.push_back(stream());
    if (!shape.compute.training) return;
    const std::int64_t buffers = shape.has_neighbours ? gradient_buffers_with_neighbours : 1;
    for (std::int64_t i = 0; i < buffers; ++i) gradients.push_back(stream());
}

ReplicaPlan plan_replica(const ReplicaShape& shape) {
    Arena memory = Arena::measuring();
    Arena recomputed = Arena::measuring();
    const std::unique_ptr<Communicator> self = make_self_communicator();
    const TensorParallel tensor(*self, false, shape.compute.tokens());
    const ReplicaMemory layout(shape, tensor, memory, recomputed);
    ReplicaPlan plan{.weight_bytes = layout.store.weight_bytes(),
                     .gradient_bytes = layout.store.gradient_bytes(),
                     .optimizer_bytes = layout.store.optimizer_bytes(),
                     .activation_bytes = layout.activation_bytes,
                     .recomputed_bytes = recomputed.peak_bytes(),
                     .scratch_bytes = scratch_bytes_of(shape),
                     .saved_bytes = saved_bytes(layout.store)};
    plan.buffer_bytes =
        memory.used_bytes() - plan.weight_bytes - plan.gradient_bytes - plan.optimizer_bytes - plan.activation_bytes;
    return plan;
}

std::unique_ptr<Context> make_context(const ReplicaShape& shape) {
    start_threads(shape.threads);
    return std::make_unique<Context>(shape.threads, Arena(scratch_bytes_of(shape), shape.device));
}

Replica::Replica(const ReplicaShape& shape, std::unique_ptr<Context> own, Context* others, Communicator& tensor,
                 Communicator& data)
    : shape_(shape),
      plan_(plan_replica(shape)),
      tensor_group_(&tensor),
      data_group_(&data),
      tensor_(tensor, shape.compute.sequence_parallel, shape.compute.tokens(), shape.compute.tensor_overlap),
      own_context_(std::move(own)),
      kept_(plan_.total_bytes() - plan_.recomputed_bytes - plan_.scratch_bytes, shape.device),
      recomputed_(plan_.recomputed_bytes, shape.device),
      context(others != nullptr ? *others : *own_context_),
      memory_(shape_, tensor_, kept_, recomputed_),
      store(memory_.store) {
    require(tensor.size() == shape.store.tensor_size && data.size() == shape.store.data_size,
            "a replica for {} x {} ranks in groups of {} and {}", shape.store.tensor_size, shape.store.data_size,
            tensor.size(), data.size());
    require(used_bytes() == plan_.total_bytes() - plan_.scratch_bytes, "{} bytes were planned, {} are used",
            plan_.total_bytes() - plan_.scratch_bytes, used_bytes());
    memory_.work.prepare(context, shape_.model);
    if (!context.on_cpu())
        staging_ = std::make_unique<TokenStaging>(context.shared_gpu(), shape_.row_slots, shape_.compute.tokens());
}

Replica::Replica(const ReplicaShape& shape, Communicator& tensor, Communicator& data)
    : Replica(shape, make_context(shape), nullptr, tensor, data) {}

Replica::Replica(const ReplicaShape& shape, Context& others, Communicator& tensor, Communicator& data)
    : Replica(shape, nullptr, &others, tensor, data) {}

Replica::Replica(const ModelConfig& model, const OptimizerConfig& optimizer, const ModelShape& compute, int threads)
    : Replica(whole_replica(model, optimizer, compute, threads), make_self_communicator()) {}

Replica::Replica(const ReplicaShape& shape, std::unique_ptr<Communicator> self) : Replica(shape, *self, *self) {
    self_ = std::move(self);
}

double Replica::loss(const TokenRows& rows, std::vector<Moments>* moments) {
    Model& model = memory_.models[0][0];
    const TokenRows here = load_rows(rows, 0);
    clear(context, memory_.work.loss);
    model.forward(context, here, memory_.inputs[0], {.moments = moments});
    model.loss(context, here);
    return loss_sum();
}

double Replica::loss_and_backward(const TokenRows& rows, float factor) {
    Model& model = memory_.models[0][0];
    const Tensor d = memory_.gradients[0];
    const TokenRows here = load_rows(rows, 0);
    clear(context, memory_.work.loss);
    model.forward(context, here, memory_.inputs[0]);
    model.loss_and_gradient(context, here, d, factor, {});
    model.backward(context, here, d, {});
    return loss_sum();
}

void Replica::logits_at(Tensor logits, Tensor tokens, std::int64_t position) {
    memory_.models[0][0].forward(context, load_rows({.tokens = tokens}, 0), memory_.inputs[0]);
    read_logits(logits, position);
}

void Replica::read_logits(Tensor logits, std::int64_t position) {
    Model& model = memory_.models.back()[0];
    if (context.on_cpu()) return model.logits_at(context, logits, position);
    const Tensor here = memory_.work.logits.first({logits.rows(), logits.columns()});
    model.logits_at(context, here, position);
    copy(context, logits, here);
}

TokenRows Replica::load_rows(const TokenRows& rows, std::int64_t i) {
    if (context.on_cpu()) return rows;
    require(i < shape_.row_slots, "micro-batch {} of {} whose tokens have room", i, shape_.row_slots);
    return staging_->load(i, memory_.token_rows.slice(i, i + 1).view({3, shape_.compute.tokens()}), rows);
}

std::int64_t Replica::row_slots() const {
    return context.on_cpu() ? std::numeric_limits<std::int64_t>::max() : shape_.row_slots;
}

double Replica::loss_sum() {
    double sum = 0.0;
    copy(context, Tensor(&sum, Dtype::fp64, {1}), memory_.work.loss);
    return sum;
}

std::vector<double> Replica::token_losses() {
    const Tensor there = memory_.work.token_losses;
    std::vector<double> losses(std::size_t(there.elements()));
    copy(context, Tensor(losses.data(), Dtype::fp64, {there.elements()}), there);
    return losses;
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
