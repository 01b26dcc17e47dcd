// The model as one rank holds it: its parameters, the activations of every micro-batch it has in flight, and the
// context its operations run in. All memory is planned first, by the same code that then lays it out.
#pragma once

#include "engine/model/model.hpp"
#include "engine/model/stages.hpp"
#include "engine/step/token_staging.hpp"
#include "io/data/batch.hpp"
#include "parallel/mesh.hpp"
#include "parallel/schedule/schedule.hpp"

#include <memory>

namespace gpas {

struct ReplicaPlan {
    std::int64_t weight_bytes = 0;      // as the forward pass reads them
    std::int64_t gradient_bytes = 0;    // fp32
    std::int64_t optimizer_bytes = 0;   // moments, and masters where the forward pass reads bf16
    std::int64_t activation_bytes = 0;  // from forward to backward, of every micro-batch in flight
    std::int64_t buffer_bytes = 0;      // within one sub-layer, of the head, to and from other stages
    std::int64_t recomputed_bytes = 0;  // activations of one layer at a time
    std::int64_t scratch_bytes = 0;     // within one operation
    std::int64_t saved_bytes = 0;       // what the rank adds to a checkpoint; not in the total
    std::int64_t total_bytes() const {
        return weight_bytes + gradient_bytes + optimizer_bytes + activation_bytes + buffer_bytes + recomputed_bytes +
               scratch_bytes;
    }
};

// What a rank holds. Follows from configuration, mesh and place alone.
struct ReplicaShape {
    ModelConfig model;
    OptimizerConfig optimizer;
    ModelShape compute;
    std::vector<ModelPart> parts;         // the chunks of this rank's pipeline stage
    std::vector<std::int64_t> in_flight;  // of each chunk: micro-batches between forward and backward at most
    StoreShape store;
    Device device = Device::cpu;
    int threads = 1;
    std::int64_t row_slots = 1;   // micro-batches whose tokens a GPU holds at once: those of a step
    bool has_neighbours = false;  // other stages
};

// Lets the shape be computed on this device: rows of a GPU's tensors are whole 16 bytes.
void place_on(ReplicaShape& shape, Device device);

// One rank that has the whole model, and one micro-batch in flight.
ReplicaShape whole_replica(const ModelConfig& model, const OptimizerConfig& optimizer, const ModelShape& compute,
                           int threads);
// The rank at `place` of a run. training: false leaves out gradients and optimizer.
ReplicaShape replica_shape(const RunConfig& config, MeshSize mesh, MeshPlace place, int threads, bool training,
                           Device device = Device::cpu);
// The schedule of a run on this mesh, and what a rank does in it.
PipelineShape pipeline_shape(const RunConfig& config, MeshSize mesh);

ReplicaPlan plan_replica(const ReplicaShape& shape);

// Everything of a replica that lies in arenas.
struct ReplicaMemory {
    ReplicaMemory(const ReplicaShape& shape, const TensorParallel& tensor, Arena& memory, Arena& recomputed);

    std::int64_t activation_bytes = 0;  // what the models took
    ParameterStore store;
    Workspace work;
    std::vector<std::vector<Model>> models;  // of each chunk, one for each micro-batch in flight
    // [R,C] streams into a part: one for each micro-batch in flight and, with neighbours, one more to receive into.
    std::vector<Tensor> inputs;
    // [R,C] gradients of the stream: one; with neighbours one that is received, one computed on, one being sent.
    std::vector<Tensor> gradients;
    // On a GPU: tokens, labels and segment_begin of each micro-batch of a pass, [slots, 3, T] int32.
    Tensor token_rows;
    // With sequence parallelism: what norms and gates have as gradients, packed for one message; fp32.
    Tensor packed;
};

class Replica {
public:
    // Weights are not yet set: initialise() or a checkpoint does that. tensor, data: the groups of the shape's sizes,
    // kept.
    Replica(const ReplicaShape& shape, Communicator& tensor, Communicator& data);
    // The same with a context that others use, too (see make_context), kept.
    Replica(const ReplicaShape& shape, Context& context, Communicator& tensor, Communicator& data);
    // Alone, with the whole model.
    Replica(const ModelConfig& model, const OptimizerConfig& optimizer, const ModelShape& compute, int threads);
    Replica(const Replica&) = delete;  // the models hold views into the arenas
    Replica& operator=(const Replica&) = delete;

    const ReplicaShape& shape() const { return shape_; }
    const ReplicaPlan& plan() const { return plan_; }
    Communicator& tensor_group() { return *tensor_group_; }
    Communicator& data_group() { return *data_group_; }
    ReplicaMemory& memory() { return memory_; }
    // Of the arenas, without scratch: what the plan says, or the constructor has thrown.
    std::int64_t used_bytes() const { return kept_.used_bytes() + recomputed_.peak_bytes(); }

    // Of a replica that has the whole model, one micro-batch (see Model).
    double loss(const TokenRows& rows, std::vector<Moments>* moments = nullptr);
    double loss_and_backward(const TokenRows& rows, float factor);
    void logits_at(Tensor logits, Tensor tokens, std::int64_t position);

    // Where operations find these rows: on a GPU in slot `i` (less than row_slots), else where they are. logits_at(),
    // loss() and loss_and_backward() use slot 0. See TokenStaging::load.
    TokenRows load_rows(const TokenRows& rows, std::int64_t i);
    std::int64_t row_slots() const;  // unlimited on the CPU
    // Σ of the losses since work.loss was cleared. Waits for the GPU.
    double loss_sum();

private:
    Replica(const ReplicaShape& shape, std::unique_ptr<Communicator> self);

    Replica(const ReplicaShape& shape, std::unique_ptr<Context> own, Context* others, Communicator& tensor,
            Communicator& data);

    // Members in the order in which they depend on each other.
    ReplicaShape shape_;
    ReplicaPlan plan_;
    std::unique_ptr<Communicator> self_;  // of a replica that is alone
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
    std::unique_ptr<TokenStaging> staging_;  // on a GPU

public:
    ParameterStore& store;
};

// A context with the scratch memory that the shape plans, on its device.
std::unique_ptr<Context> make_context(const ReplicaShape& shape);

// Views of a batch. segment_begin only where documents are masked. `batch` must outlive them.
TokenRows rows_of(Batch& batch, bool mask_documents);

Dtype storage_dtype(ComputeDtype dtype);

}  // namespace gpas
