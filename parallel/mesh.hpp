// Which rank computes what: the process mesh tensor × data × pipeline, tensor-parallel ranks side by side (SPECS:
// inside a node), pipeline stages outermost.
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

struct MeshPlace {
    int tensor = 0;
    int data = 0;
    int pipeline = 0;
};

// rank = tensor + T (data + D pipeline), or tensor + T (pipeline + P data)
MeshPlace place_of(int rank, MeshSize size, MeshOrder order = MeshOrder::tensor_data_pipeline);
int rank_of(MeshPlace place, MeshSize size, MeshOrder order = MeshOrder::tensor_data_pipeline);

// The groups that this rank belongs to.
struct Mesh {
    MeshSize size;
    MeshPlace place;
    std::unique_ptr<Communicator> world;
    std::unique_ptr<Communicator> tensor;
    std::unique_ptr<Communicator> data;
    std::unique_ptr<Communicator> pipeline_forward;  // one per direction: with two stages both neighbours are one rank
    std::unique_ptr<Communicator> pipeline_backward;
    std::unique_ptr<Communicator> embedding;  // first and last stage of a pipeline; any other rank is alone
    bool first_stage() const { return place.pipeline == 0; }
    bool last_stage() const { return place.pipeline + 1 == size.pipeline; }
};

// A group of all ranks, for sums over memory of the device: the data or the tensor group if it has them all, which
// spares a channel, else the world. The same on every rank.
Communicator& group_of_all(Mesh& mesh);

// Collective over world; size.ranks() must be its size (Error(usage)).
Mesh make_mesh(std::unique_ptr<Communicator> world, MeshSize size, MeshOrder order = MeshOrder::tensor_data_pipeline);
// The mesh of one rank.
Mesh make_self_mesh();

}  // namespace gpas
