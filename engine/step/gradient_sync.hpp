// From the gradients that each rank has summed over its micro-batches to those of the global batch.
#pragma once

#include "engine/step/replica.hpp"

#include <vector>

namespace gpas {

class GradientSync {
public:
    // Keeps references.
    GradientSync(Replica& replica, Mesh& mesh);

    // The last micro-batch's gradients of a layer are in the buffer: starts what can be reduced.
    void layer_done(std::int64_t layer);
    // Waits, and sums what other groups share: a tied embedding over its two stages; norms and gates, where each
    // tensor-parallel rank has seen a part of the sequence, over those. The owned pieces of the store then hold the
    // sums over the global batch.
    void finish();

private:
    void restart();
    void sum_tied_embedding();
    void sum_over_sequence_shards();

    Replica& replica_;
    ParameterStore& store_;
    Mesh& mesh_;
    GradientReducer reducer_;
    std::vector<std::int64_t> missing_;  // of each bucket: parameters whose gradients are not complete
};

}  // namespace gpas
