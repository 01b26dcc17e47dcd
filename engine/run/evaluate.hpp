// The validation loss.
#pragma once

#include "engine/step/pipeline.hpp"

#include <functional>

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

// The loss of the set. With n data-parallel ranks each rank computes every n-th micro-batch. Weights and optimizer
// state are not changed. The same result on every rank. Collective over the mesh.
EvaluationResult evaluate(Replica& replica, Mesh& mesh, const PipelineShape& pipeline, const ValidationSet& samples,
                          bool mask_documents, const EvaluationHooks& hooks = {});

}  // namespace gpas
