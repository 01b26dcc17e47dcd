#include "parallel/mesh.hpp"

#include "base/error.hpp"

#include <utility>

namespace gpas {

MeshPlace place_of(int rank, MeshSize size, MeshOrder order) {
    const int inner = rank / size.tensor;
    if (order == MeshOrder::tensor_pipeline_data)
        return {.tensor = rank % size.tensor, .data = inner / size.pipeline, .pipeline = inner % size.pipeline};
    return {.tensor = rank % size.tensor, .data = inner % size.data, .pipeline = inner / size.data};
}

int rank_of(MeshPlace place, MeshSize size, MeshOrder order) {
    const int inner = order == MeshOrder::tensor_pipeline_data ? place.pipeline + size.pipeline * place.data
                                                               : place.data + size.data * place.pipeline;
    return place.tensor + size.tensor * inner;
}

Mesh make_mesh(std::unique_ptr<Communicator> world, MeshSize size, MeshOrder order) {
    if (size.ranks() != world->size())
        fail(ExitCode::usage, "parallel: tensor {} x data {} x pipeline {} needs {} ranks, but the job has {}",
             size.tensor, size.data, size.pipeline, size.ranks(), world->size());
    Mesh mesh;
    mesh.size = size;
    mesh.place = place_of(world->rank(), size, order);
    const auto [t, d, p] = mesh.place;
    mesh.tensor = world->split(d + size.data * p, t, "tensor");
    mesh.data = world->split(t + size.tensor * p, d, "data");
    mesh.pipeline_forward = world->split(t + size.tensor * d, p, "pipeline (forward)");
    mesh.pipeline_backward = world->split(t + size.tensor * d, p, "pipeline (backward)");
    const bool at_an_end = mesh.first_stage() || mesh.last_stage();
    mesh.embedding = world->split(at_an_end ? t + size.tensor * d : size.ranks() + world->rank(), p, "embedding");
    mesh.world = std::move(world);
    return mesh;
}

Communicator& group_of_all(Mesh& mesh) {
    for (Communicator* group : {mesh.data.get(), mesh.tensor.get()})
        if (group->size() == mesh.world->size()) return *group;
    return *mesh.world;
}

Mesh make_self_mesh() { return make_mesh(make_self_communicator(), {}); }

}  // namespace gpas
