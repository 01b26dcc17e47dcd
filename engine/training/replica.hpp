// The model as one rank holds it: parameters, activations, and the context its operations run in. All memory is planned
// first, by the same code that then lays it out.
#pragma once

#include "engine/model/model.hpp"
#include "io/data/batch.hpp"

namespace gpas {

struct ReplicaPlan {
    std::int64_t parameter_bytes = 0;   // weights, gradients, moments, compute copy
    std::int64_t activation_bytes = 0;  // of one micro-batch, with the buffers of the head
    std::int64_t scratch_bytes = 0;
    std::int64_t total_bytes() const { return parameter_bytes + activation_bytes + scratch_bytes; }
};

ReplicaPlan plan_replica(const ModelConfig& model, const OptimizerConfig& optimizer, const ModelShape& shape,
                         int threads);

class Replica {
public:
    // Weights are not yet set: initialise() or a checkpoint does that.
    Replica(const ModelConfig& model, const OptimizerConfig& optimizer, const ModelShape& shape, int threads);
    Replica(const Replica&) = delete;  // the model holds views into the arenas
    Replica& operator=(const Replica&) = delete;

    const ReplicaPlan& plan() const { return plan_; }

    // Members in the order in which they depend on each other.
private:
    ReplicaPlan plan_;
    Arena arena_;

public:
    Context context;
    ParameterStore store;
    Model model;
};

// Views of a batch. segment_begin only where documents are masked. `batch` must outlive them.
TokenRows rows_of(Batch& batch, bool mask_documents);

Dtype storage_dtype(ComputeDtype dtype);

}  // namespace gpas
