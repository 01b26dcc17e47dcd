// The loss on held-out samples.
#pragma once

#include "engine/step/pipeline.hpp"

#include <functional>

namespace gpas {

struct EvaluationResult {
    double loss = 0.0;  // mean over all loss tokens of the set (not over batches)
    std::int64_t tokens = 0;
    double seconds = 0.0;
    bool interrupted = false;  // by a request to stop: loss and tokens are of a part of the set, and say nothing
};

// Each data-parallel rank takes every size-th micro-batch of the set. Weights and optimizer state are not touched. The
// same result on every rank. Collective over the mesh. progress: share done, from 0 to 1. stop: asked between batches;
// if it is true on any rank, all ranks leave together.
EvaluationResult evaluate(Replica& replica, Mesh& mesh, const PipelineShape& pipeline, const ValidationSet& samples,
                          bool mask_documents, const std::function<void(double)>& progress = {},
                          const std::function<bool()>& stop = {});

}  // namespace gpas
