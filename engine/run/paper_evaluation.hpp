// Reproduces the evaluation loss that the GPAS paper's code prints (evaluate_model in its torchrun_main.py). It is
// below the true mean loss: the code divides the sum of the batches' mean losses by the number of batches plus one.
// Batches are also weighted equally, whatever their number of tokens.
#pragma once

#include "engine/step/pipeline.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace gpas {

// How the paper's code was started: its --batch_size, and its number of GPUs.
struct PaperLayout {
    std::int64_t batch = 0;
    std::int64_t gpus = 1;
};
// "256x1": 256 samples per batch on 1 GPU. Error(usage) for anything else.
PaperLayout parse_paper_layout(const std::string& text);

struct PaperEvaluation {
    double loss = 0.0;                  // mean over the GPUs of  Σ (mean loss of a batch) / (batches + 1)
    std::vector<std::int64_t> batches;  // per GPU of the paper's layout
    std::int64_t tokens = 0;            // without padding, as the paper's code counts them
};

// Of the layout's n GPUs, GPU r takes samples r, r + n, r + 2n, … in whole batches. It stops once it has seen more than
// 10 million / n tokens that are not padding, or if less than a whole batch is left. The layout is simulated: it does
// not depend on the ranks of the mesh. Weights are not changed. Collective over the mesh; the same result on every
// rank. AgreedError(usage) if a GPU has no whole batch, or a batch has no loss token.
PaperEvaluation evaluate_as_paper(Replica& replica, Mesh& mesh, const PipelineShape& shape,
                                  const ValidationSet& samples, bool mask_documents, const PaperLayout& layout);

}  // namespace gpas
