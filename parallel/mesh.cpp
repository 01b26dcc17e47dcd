#include "parallel/mesh.hpp"

#include <utility>

namespace gpas {

MeshPlace place_of(int rank, MeshSize size) {
    return {.tensor = rank % size.tensor,
            .data = rank / size.tensor % size.data,
            .pipeline = rank / (size.tensor * size.data)};
}

int rank_of(MeshPlace place, MeshSize size) {
    return place.tensor + size.tensor * (place.data + size.data * place.pipeline);
}

Mesh make_mesh(std::unique_ptr<Communicator> world, MeshSize size) {
    if (size.ranks() != world->size())
        fail(ExitCode::usage, "parallel: tensor {} x data {} x pipeline {} needs {} ranks, but the job has {}",
             size.tensor, size.data, size.pipeline, size.ranks(), world->size());
    Mesh mesh;
    mesh.size = size;
    mesh.place = place_of(world->rank(), size);
    const auto [t, d, p] = mesh.place;
    mesh.tensor = world->split(d + size.data * p, t);
    mesh.data = world->split(t + size.tensor * p, d);
    mesh.pipeline_forward = world->split(t + size.tensor * d, p);
    mesh.pipeline_backward = mesh.pipeline_forward->duplicate();
    mesh.world = std::move(world);
    return mesh;
}

}  // namespace gpas
