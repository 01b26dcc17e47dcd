// The number that the evaluation of the GPAS paper's code prints (evaluate_model in its torchrun_main.py). It is below
// the loss: the sum of batch means is divided by one batch too many, and every batch counts the same.
#pragma once

#include "engine/step/pipeline.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace gpas {

// How the paper's code is started: its --batch_size, and its number of GPUs.
struct PaperLayout {
    std::int64_t batch = 0;
    std::int64_t gpus = 1;
};
// "256x1": 256 samples per batch on 1 GPU. Error(usage) for anything else.
PaperLayout parse_paper_layout(const std::string& text);

struct PaperEvaluation {
    double loss = 0.0;                  // mean over the GPUs of  Σ (mean loss of a batch) / (batches + 1)
    std::vector<std::int64_t> batches;  // of each GPU
    std::int64_t tokens = 0;            // that are not padding, as that code counts them
};

// GPU r of n takes samples r, r + n, r + 2n, … and cuts them into whole batches. It stops when it has seen more than
// 10 million tokens / n that are not padding, or has no whole batch left. Weights are not touched. Collective over the
// mesh, the same result on every rank. AgreedError(usage) if a GPU has no whole batch, or a batch has no loss token.
PaperEvaluation evaluate_as_paper(Replica& replica, Mesh& mesh, const PipelineShape& shape,
                                  const ValidationSet& samples, bool mask_documents, const PaperLayout& layout);

}  // namespace gpas
