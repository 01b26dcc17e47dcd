#include "engine/training/device.hpp"

#include "kernels/cuda/gpu.hpp"
#include "kernels/error.hpp"
#include "parallel/agree.hpp"
#include "parallel/nccl_communicator.hpp"
#include "parallel/staged_communicator.hpp"

namespace gpas {

ChosenDevice choose_device(const ComputeConfig& compute, const MpiSession& mpi, Communicator& world) {
    if (compute.device == DeviceKind::cpu) return {.note = "device: CPU (compute.device)"};
    std::string why;
    const int mine = cuda::device_count(&why);
    std::int64_t missing = mine > 0 ? world.size() : world.rank();  // the first rank without a GPU
    world.all_reduce(&missing, 1, ReduceOp::min, "GPUs of the ranks");
    if (missing < world.size()) {
        broadcast(world, why, int(missing), "why there is no GPU");
        if (compute.device == DeviceKind::cuda)
            throw AgreedError(
                ExitCode::environment,
                fmt::format("compute.device: found cuda, but rank {} has no GPU: {}; write cpu, or start the "
                            "run where every rank has one",
                            missing, why));
        return {.note = fmt::format("device: CPU (no GPU: {})", why)};
    }
    std::string note = agree(world, [&] {
        cuda::choose_device(mpi.local_rank() % mine);
        return fmt::format("device: {} ({:.0f} GiB), {} a node for {} ranks of it", cuda::device_name(),
                           double(cuda::device_memory_bytes()) / double(std::int64_t(1) << 30), mine, mpi.local_size());
    });
    return {.device = Device::cuda, .note = std::move(note)};
}

std::string serve_device(Mesh& mesh, Context& context) {
    if (context.on_cpu()) return {};
    std::string why_not;
    const bool nccl = nccl_can_serve(*mesh.world, &why_not);
    for (std::unique_ptr<Communicator>* group :
         {&mesh.tensor, &mesh.data, &mesh.pipeline_forward, &mesh.pipeline_backward, &mesh.embedding}) {
        if (!*group || (*group)->size() == 1) continue;
        *group = nccl ? make_nccl_communicator(std::move(*group), context)
                      : make_staged_communicator(std::move(*group), context);
    }
    if (mesh.world->size() == 1) return {};
    return nccl ? "groups talk through NCCL" : fmt::format("groups talk through host memory and MPI: {}", why_not);
}

}  // namespace gpas
