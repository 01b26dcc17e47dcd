// The loss on held-out samples.
#pragma once

#include "engine/training/replica.hpp"
#include "parallel/communicator.hpp"

#include <functional>

namespace gpas {

struct EvaluationResult {
    double loss = 0.0;  // mean over all loss tokens of the set (not over batches)
    std::int64_t tokens = 0;
    double seconds = 0.0;
};

// Each rank takes every size()-th micro-batch of the set. Weights and optimizer state are not touched. progress: share
// done, from 0 to 1.
EvaluationResult evaluate(Replica& replica, const ValidationSet& samples, bool mask_documents, Communicator& data_group,
                          const std::function<void(double)>& progress = {});

}  // namespace gpas
