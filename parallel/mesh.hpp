// The process mesh tensor × data × pipeline: each rank's coordinates and process groups. Tensor-parallel ranks have
// consecutive rank numbers, so that launchers place them on one node. MeshOrder chooses whether pipeline stages or
// data-parallel replicas vary slowest.
#pragma once

#include "parallel/communicator.hpp"
#include "parallel/mesh_order.hpp"

#include <memory>

namespace gpas {

struct MeshSize {
    int tensor = 1;
    int data = 1;
    int pipeline = 1;
    int ranks() const { return tensor * data * pipeline; }
};

// A rank's coordinates, each from 0.
struct MeshPlace {
    int tensor = 0;
    int data = 0;
    int pipeline = 0;
};

// With sizes T, D, P:  rank = tensor + T (data + D pipeline)   for MeshOrder::tensor_data_pipeline,
//                      rank = tensor + T (pipeline + P data)   for MeshOrder::tensor_pipeline_data.
MeshPlace place_of(int rank, MeshSize size, MeshOrder order = MeshOrder::tensor_data_pipeline);
int rank_of(MeshPlace place, MeshSize size, MeshOrder order = MeshOrder::tensor_data_pipeline);

// This rank's place in the mesh, and the groups it belongs to.
struct Mesh {
    MeshSize size;
    MeshPlace place;
    std::unique_ptr<Communicator> world;
    std::unique_ptr<Communicator> tensor;
    std::unique_ptr<Communicator> data;
    // One group per direction. With two stages a rank's previous and next stage are the same rank: in one group, its
    // activations and gradients of activations could match the wrong receive.
    std::unique_ptr<Communicator> pipeline_forward;
    std::unique_ptr<Communicator> pipeline_backward;
    std::unique_ptr<Communicator> embedding;  // the first and last stage of a pipeline; other ranks: a group of one
    bool first_stage() const { return place.pipeline == 0; }
    bool last_stage() const { return place.pipeline + 1 == size.pipeline; }
};

// A group of all ranks, for sums over device memory. Returns the data or tensor group if it contains all ranks, so that
// no further NCCL communicator is needed; otherwise the world. The choice is the same on every rank.
Communicator& group_of_all(Mesh& mesh);

// Makes the groups. Collective over world. Error(usage) if size.ranks() is not the size of world.
Mesh make_mesh(std::unique_ptr<Communicator> world, MeshSize size, MeshOrder order = MeshOrder::tensor_data_pipeline);
// The mesh of one rank.
Mesh make_self_mesh();

}  // namespace gpas
