// Sums each rank's accumulated gradients over the ranks (data-parallel reduce-scatter or all-reduce, tied embedding,
// sequence shards), so that they become the gradients of the global batch.
#pragma once

#include "engine/step/replica.hpp"

#include <vector>

namespace gpas {

class GradientSync {
public:
    // Keeps references.
    GradientSync(Replica& replica, Mesh& mesh);

    // To be called when the gradients of a layer (ParameterSpec::layer) are complete, in the last micro-batch. Starts
    // the reduction over the data-parallel group of every bucket that is complete, and returns. The order of the calls
    // must be the same on all ranks of the group.
    void layer_done(std::int64_t layer);
    // Sums a tied embedding over its two stages, waits for all buckets, and sums partial gradients over the tensor
    // ranks: those of weights that heads share, and with sequence parallelism those of norms, gates, and the biases of
    // row-parallel products. On return the owned pieces of the store hold the sums over the global batch. Collective
    // over the world.
    void finish();

private:
    void restart();
    void sum_tied_embedding();
    void sum_over_tensor_ranks();

    Replica& replica_;
    ParameterStore& store_;
    Mesh& mesh_;
    GradientReducer reducer_;
    std::vector<std::int64_t> missing_;  // per bucket: number of parameters whose gradients are not complete
};

}  // namespace gpas
