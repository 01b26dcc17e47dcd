// One rank's part of the model: parameters, activations of every micro-batch in flight, and the context (device,
// stream, scratch memory) of its operations. All memory is planned first, by the same code that allocates it.
#pragma once

#include "engine/model/model.hpp"
#include "engine/model/stages.hpp"
#include "engine/step/token_staging.hpp"
#include "io/data/batch.hpp"
#include "parallel/mesh.hpp"
#include "parallel/schedule/schedule.hpp"

#include <memory>

namespace gpas {

// Bytes that one rank needs on its device.
struct ReplicaPlan {
    std::int64_t weight_bytes = 0;      // weights that the forward pass reads
    std::int64_t gradient_bytes = 0;    // fp32
    std::int64_t optimizer_bytes = 0;   // Adam moments, and fp32 masters if the forward pass reads bf16
    std::int64_t activation_bytes = 0;  // kept from forward to backward, of all micro-batches in flight
    std::int64_t buffer_bytes = 0;      // of one sub-layer, of the head, and of messages between stages
    std::int64_t recomputed_bytes = 0;  // activations that backward computes again, one layer at a time
    std::int64_t scratch_bytes = 0;     // of one operation
    std::int64_t saved_bytes = 0;       // what the rank writes to a checkpoint; not in the total
    std::int64_t total_bytes() const {
        return weight_bytes + gradient_bytes + optimizer_bytes + activation_bytes + buffer_bytes + recomputed_bytes +
               scratch_bytes;
    }
};

// The parts, sizes and device of a Replica. A function of configuration, mesh and the rank's place only.
struct ReplicaShape {
    ModelConfig model;
    OptimizerConfig optimizer;
    ModelShape compute;
    std::vector<ModelPart> parts;         // the chunks of this rank's pipeline stage
    std::vector<std::int64_t> in_flight;  // per chunk: most micro-batches between their forward and backward
    StoreShape store;
    Device device = Device::cpu;
    int threads = 1;
    std::int64_t row_slots = 1;   // micro-batches whose tokens a GPU holds at once: all of a step
    bool has_neighbours = false;  // the pipeline has other stages
};

// Sets the shape's device, and what depends on it: for a GPU, feed-forward columns are padded so that rows of tensors
// are multiples of 16 bytes, and the head's chunks are larger.
void place_on(ReplicaShape& shape, Device device);

// The shape of one rank that has the whole model, and one micro-batch in flight.
ReplicaShape whole_replica(const ModelConfig& model, const OptimizerConfig& optimizer, const ModelShape& compute,
                           int threads);
// The shape of the rank at `place` of a run. training: false leaves out gradients and optimizer.
ReplicaShape replica_shape(const RunConfig& config, MeshSize mesh, MeshPlace place, int threads, bool training,
                           Device device = Device::cpu);
// The pipeline schedule of a run on this mesh.
PipelineShape pipeline_shape(const RunConfig& config, MeshSize mesh);

// The bytes that a Replica of this shape will use. Allocates nothing.
ReplicaPlan plan_replica(const ReplicaShape& shape);

// Everything of a replica that is stored in arenas.
struct ReplicaMemory {
    ReplicaMemory(const ReplicaShape& shape, const TensorParallel& tensor, Arena& memory, Arena& recomputed);

    std::int64_t activation_bytes = 0;  // that the models allocated
    ParameterStore store;
    Workspace work;
    std::vector<std::vector<Model>> models;  // [chunk][micro-batch in flight]
    // [R,C] input streams of a part: one per micro-batch in flight, and with neighbours one more to receive into.
    std::vector<Tensor> inputs;
    // [R,C] gradients of the stream: one; with neighbours three (received, computed on, sent).
    std::vector<Tensor> gradients;
    // [slots, 3, T] int32, on a GPU only: tokens, labels and segment_begin of each micro-batch of a pass.
    Tensor token_rows;
    // fp32: the gradients that are summed over the tensor ranks (ParameterSpec::partial_gradient), packed for one
    // message; absent without such gradients.
    Tensor packed;
};

class Replica {
public:
    // Weights are not set: call initialise() or load a checkpoint. tensor, data: the tensor-parallel and data-parallel
    // groups, of the sizes in the shape; the replica keeps references.
    Replica(const ReplicaShape& shape, Communicator& tensor, Communicator& data);
    // With a context that other code also uses (see make_context); the replica keeps a reference.
    Replica(const ReplicaShape& shape, Context& context, Communicator& tensor, Communicator& data);
    // On one rank, with the whole model.
    Replica(const ModelConfig& model, const OptimizerConfig& optimizer, const ModelShape& compute, int threads);
    Replica(const Replica&) = delete;  // the models hold views into the arenas
    Replica& operator=(const Replica&) = delete;

    const ReplicaShape& shape() const { return shape_; }
    const ReplicaPlan& plan() const { return plan_; }
    Communicator& data_group() { return *data_group_; }
    ReplicaMemory& memory() { return memory_; }
    // Bytes of the arenas, without scratch. Equal to the plan; otherwise the constructor throws.
    std::int64_t used_bytes() const { return kept_.used_bytes() + recomputed_.peak_bytes(); }

    // One micro-batch, on a replica that has the whole model (see Model). loss() and loss_and_backward() return Σ of
    // the tokens' losses; the latter adds the gradients of factor · Σ to the gradient buffers (+=). logits_at(): logits
    // [batch, V] fp32 = those of one position, tokens [T] int32.
    double loss(const TokenRows& rows, std::vector<Moments>* moments = nullptr);
    double loss_and_backward(const TokenRows& rows, float factor);
    void logits_at(Tensor logits, Tensor tokens, std::int64_t position);
    // logits [batch, V'] fp32 on the host = those of one position of the last pass, counted from the pass's first
    // position: this rank's rows of the vocabulary. On a replica that has the head.
    void read_logits(Tensor logits, std::int64_t position);

    // Returns the rows as operations can read them. On a GPU: copies them to slot `i` < row_slots() and returns views
    // of it (TokenStaging::load); on the CPU: `rows` itself. logits_at(), loss()
    // and loss_and_backward() use slot 0. If only `tokens` is given, it may have fewer elements than T.
    TokenRows load_rows(const TokenRows& rows, std::int64_t i);
    std::int64_t row_slots() const;  // unlimited on the CPU
    // Σ of the tokens' losses since work.loss was cleared. Waits for the GPU.
    double loss_sum();
    // work.token_losses [T], on a part with the head. Waits for the GPU.
    std::vector<double> token_losses();

private:
    Replica(const ReplicaShape& shape, std::unique_ptr<Communicator> self);

    Replica(const ReplicaShape& shape, std::unique_ptr<Context> own, Context* others, Communicator& tensor,
            Communicator& data);

    // The order of the members matters: later members refer to earlier ones.
    ReplicaShape shape_;
    ReplicaPlan plan_;
    std::unique_ptr<Communicator> self_;  // group of one rank, of a replica without other ranks
    Communicator* tensor_group_;
    Communicator* data_group_;
    TensorParallel tensor_;
    std::unique_ptr<Context> own_context_;
    Arena kept_;
    Arena recomputed_;

public:
    Context& context;

private:
    ReplicaMemory memory_;
    std::unique_ptr<TokenStaging> staging_;  // on a GPU only

public:
    ParameterStore& store;
};

// A context with the scratch memory that the shape plans, on its device.
std::unique_ptr<Context> make_context(const ReplicaShape& shape);

// Views of a batch, which must outlive them. segment_begin is absent unless mask_documents.
TokenRows rows_of(Batch& batch, bool mask_documents);

// The dtype of weights and activations for compute.dtype.
Dtype storage_dtype(ComputeDtype dtype);

}  // namespace gpas
