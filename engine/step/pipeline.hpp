// Runs a pipeline schedule: computes micro-batches with this rank's chunks of the model, and sends and receives the
// residual stream and its gradient to and from the neighbouring stages. A run without pipeline parallelism is a
// pipeline of one stage.
#pragma once

#include "engine/step/replica.hpp"

#include <functional>
#include <optional>
#include <vector>

namespace gpas {

// The micro-batches of one pass and what to compute with them.
struct PipelinePass {
    std::vector<Batch>& batches;  // one per micro-batch
    bool mask_documents = false;  // attention does not cross document boundaries
    float factor = 1.0F;          // multiplies the gradient of the loss; NaN makes every gradient of this rank NaN
    bool batch_means = false;     // differentiate the sum of the micro-batches' mean losses, not of all tokens' losses
    std::vector<Moments>* moments = nullptr;  // gets the last micro-batch's moments (Model::forward), layers in order
    std::int64_t step = -1;                   // of the run, from 1, for the watcher's reports; -1: none
    Model::LayerDone done = {};  // called in the last micro-batch, when a layer's gradients are complete for the pass
    // evaluate() only: gets the losses [T] (nats; 0 without a label) of each micro-batch, in order, on the last stage.
    // On a GPU every micro-batch then waits for the GPU. Empty: the losses of single tokens are not computed.
    std::function<void(std::int64_t micro_batch, const std::vector<double>& losses)> token_losses = {};
    NumberProbe* probe = nullptr;  // checks the outputs of the forward passes; null: no check
    // evaluate() only: ForwardExtras of every micro-batch. angles: of the layers that this rank has.
    std::optional<std::int64_t> without_layer = {};
    StreamAngles* angles = nullptr;
};

class Pipeline {
public:
    // Keeps references.
    Pipeline(Replica& replica, Mesh& mesh, const PipelineShape& shape)
        : replica_(replica), mesh_(mesh), shape_(shape) {}

    // Forward and backward of shape.micro_batches micro-batches. Gradients +=; work.loss = Σ of the tokens' losses on
    // the last stage, 0 on the other stages. On a GPU the work is enqueued and may run after the return. Collective
    // over the pipeline.
    void train(const PipelinePass& pass);
    // Forward only, of any number of micro-batches. Returns work.loss, as train() sets it, once it is computed.
    // Collective over the pipeline.
    double evaluate(const PipelinePass& pass);

private:
    Replica& replica_;
    Mesh& mesh_;
    PipelineShape shape_;
};

}  // namespace gpas
