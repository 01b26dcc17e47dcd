// Losses of samples: the validation loss, and the losses of single tokens.
#pragma once

#include "engine/step/pipeline.hpp"

#include <functional>
#include <optional>

namespace gpas {

struct EvaluationResult {
    double loss = 0.0;  // mean over all loss tokens of the set (not over batches)
    std::int64_t tokens = 0;
    double seconds = 0.0;
    bool interrupted = false;  // stopped early: loss and tokens are of a part of the set only and must not be reported
};

// Functions that an evaluation calls between rounds of micro-batches. Empty ones are not called.
struct EvaluationHooks {
    std::function<void(double)> progress;  // gets the share done, from 0 to 1
    std::function<bool()> stop;            // if it returns true on any rank, all ranks return together
};

// What an evaluation computes.
struct EvaluationSamples {
    std::int64_t count = 0;
    // batch = samples [first, first + count); segment_begin is used only with mask_documents.
    std::function<void(Batch& batch, std::int64_t first, std::int64_t count)> fill;
    bool mask_documents = false;
    // Called for each micro-batch on one rank of the mesh: losses of samples [first, first + count), in nats. The loss
    // of position t of sample first + b is at [t * batch + b], with `batch` samples per micro-batch; 0 without a label.
    // Empty: not called.
    std::function<void(std::int64_t first, std::int64_t count, const std::vector<double>& losses)> token_losses = {};
    // See ForwardExtras. angles: gets the layers and rows of this rank (angular_distances in layer_importance.hpp).
    std::optional<std::int64_t> without_layer = {};
    StreamAngles* angles = nullptr;
};
// All samples of the set, which must outlive the result.
EvaluationSamples samples_of(const ValidationSet& samples, bool mask_documents);

// The loss of the samples. With n data-parallel ranks each rank computes every n-th micro-batch. Weights and optimizer
// state are not changed. The same result on every rank. Collective over the mesh.
EvaluationResult evaluate(Replica& replica, Mesh& mesh, const PipelineShape& pipeline, const EvaluationSamples& samples,
                          const EvaluationHooks& hooks = {});
EvaluationResult evaluate(Replica& replica, Mesh& mesh, const PipelineShape& pipeline, const ValidationSet& samples,
                          bool mask_documents, const EvaluationHooks& hooks = {});

}  // namespace gpas
