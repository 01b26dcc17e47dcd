// Forward passes for generation with a key-value cache, on any tensor-parallel and pipeline-parallel ranks.
#pragma once

#include "engine/step/replica.hpp"

#include <span>
#include <vector>

namespace gpas {

// The shape of the rank at `place` for generation of `batch` texts at a time. Keys and values of all positions are
// kept; there is no sequence parallelism, because one position has fewer rows than a group may have ranks.
ReplicaShape generation_shape(const RunConfig& config, MeshSize mesh, MeshPlace place, std::int64_t batch, int threads,
                              Device device);

class NextLogits {
public:
    // replica: of generation_shape(), or of the whole model on one rank without recomputation. mesh: one data-parallel
    // rank. Keeps references.
    NextLogits(Replica& replica, Mesh& mesh);

    std::int64_t batch() const { return replica_.shape().compute.batch; }
    std::int64_t window() const { return replica_.shape().compute.sequence; }  // most positions
    std::int64_t vocabulary() const { return replica_.shape().model.vocab_size; }
    Mesh& mesh() { return mesh_; }

    // Forward pass of the positions from `position` on: one position, unless `position` is 0. tokens [positions ·
    // batch], in sequence-first order. Reads the keys and values that the calls for earlier positions have kept.
    // Returns the logits [batch, V] of the last given position, valid until the next call, on the ranks of the last
    // stage; nothing on the other ranks. Collective over the mesh.
    std::span<const float> after(std::span<const std::int32_t> tokens, std::int64_t position);

private:
    void forward(int chunk, Tensor tokens, std::int64_t position);
    void gather_columns();

    Replica& replica_;
    Mesh& mesh_;
    std::vector<Range> columns_;  // of the vocabulary, per tensor-parallel rank
    std::vector<float> part_;     // [batch, V'] of one rank
    std::vector<float> logits_;   // [batch, V]
};

}  // namespace gpas
