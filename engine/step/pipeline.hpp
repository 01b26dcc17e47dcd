// Runs a pipeline schedule: micro-batches through this rank's chunks of the model, streams to and from its neighbours.
// One stage is a pipeline too.
#pragma once

#include "engine/step/replica.hpp"

#include <functional>
#include <vector>

namespace gpas {

// The micro-batches of one pass and what is wanted of them.
struct PipelinePass {
    std::vector<Batch>& batches;
    bool mask_documents = false;
    float factor = 1.0F;                      // of the losses' gradient; NaN: every gradient of this rank becomes NaN
    bool batch_means = false;                 // of each micro-batch, the gradient of its mean loss instead of its sum
    std::vector<Moments>* moments = nullptr;  // of the last micro-batch's stream, this rank's layers in order
    std::int64_t step = -1;                   // of the run, from 1, for reports
    Model::LayerDone done = {};               // gradients of a layer are complete for the whole pass
    NumberProbe* probe = nullptr;             // looks at what the forward passes compute
};

class Pipeline {
public:
    // Keeps references.
    Pipeline(Replica& replica, Mesh& mesh, const PipelineShape& shape)
        : replica_(replica), mesh_(mesh), shape_(shape) {}

    // Forward and backward of shape.micro_batches micro-batches, enqueued; gradients +=; work.loss = Σ of losses on the
    // last stage, 0 on the others. Collective over the pipeline.
    void train(const PipelinePass& pass);
    // Forward only, of any number of micro-batches. Returns that Σ.
    double evaluate(const PipelinePass& pass);

private:
    Replica& replica_;
    Mesh& mesh_;
    PipelineShape shape_;
};

}  // namespace gpas
