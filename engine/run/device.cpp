#include "engine/run/device.hpp"

#include "base/bytes_text.hpp"
#include "base/error.hpp"
#include "engine/run/gpu_choice.hpp"
#include "engine/run/threads.hpp"
#include "kernels/cuda/gpu.hpp"
#include "kernels/cuda/limits.hpp"
#include "kernels/ops.hpp"
#include "parallel/agree.hpp"
#include "parallel/nccl/nccl_ability.hpp"
#include "parallel/nccl/nccl_communicator.hpp"
#include "parallel/staged_communicator.hpp"

#include <algorithm>

namespace gpas {

namespace {

ChosenDevice choose_cpu(const ComputeConfig& compute, const std::string& why) {
    const bool native = compute.dtype != ComputeDtype::bf16 || has_native_products(Device::cpu, Dtype::bf16);
    return {.note = fmt::format("device: CPU ({}){}", why,
                                native ? ""
                                       : "; it has no bf16 products (AVX-512): computed in fp32, which is slower "
                                         "than compute.dtype: fp32")};
}

std::vector<int> numa_nodes_of_gpus(int gpus) {
    std::vector<int> nodes;
    for (int gpu = 0; gpu < gpus; ++gpu) nodes.push_back(numa_node_of_device(cuda::pci_bus_id(gpu)));
    return nodes;
}

// All-gather of `mine` over the ranks of this machine, in rank order. Collective over the world.
std::vector<std::int64_t> of_this_machine(Communicator& world, std::int64_t mine) {
    const GpuAddress own{host_identity(), mine};
    std::vector<std::int64_t> values;
    for (const GpuAddress& other : gather_addresses(world, own))
        if (other.host == own.host) values.push_back(other.bus);
    return values;
}

// NUMA node that the launcher has bound each rank of this machine to; -1: unknown, or not bound to one node.
std::vector<int> numa_nodes_of_ranks(Communicator& world) {
    const std::vector<std::int64_t> nodes = of_this_machine(world, numa_node_of_cpus(own_cpus().cpus));
    return {nodes.begin(), nodes.end()};
}

// Text for the log: "; by rank of this node: 0000:1b:00.0 (NUMA 0), …"
std::string addresses_text(Communicator& world) {
    std::string text;
    for (const std::int64_t bus : of_this_machine(world, parse_bus_id(cuda::pci_bus_id(cuda::chosen_device())))) {
        const int node = numa_node_of_device(bus_id_text(bus));
        text += fmt::format("{}{}{}", text.empty() ? "; PCI by rank of this node: " : ", ", bus_id_text(bus),
                            node < 0 ? "" : fmt::format(" (NUMA {})", node));
    }
    return text;
}

}  // namespace

ChosenDevice choose_device(const ComputeConfig& compute, const MpiSession& mpi, Communicator& world) {
    if (compute.device == DeviceKind::cpu) return choose_cpu(compute, "compute.device");
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
        return choose_cpu(compute, fmt::format("no GPU: {}", why));
    }
    std::vector<int> rank_nodes = numa_nodes_of_ranks(world);
    if (int(rank_nodes.size()) != mpi.local_size())  // MPI and the kernel disagree about which ranks share a machine
        rank_nodes.assign(std::size_t(mpi.local_size()), -1);
    std::string note = agree(world, [&] {
        const std::vector<int> gpu_nodes = numa_nodes_of_gpus(mine);
        const int gpu = choose_gpu(gpu_nodes, rank_nodes, mpi.local_rank());
        cuda::choose_device(gpu);
        return fmt::format("device: {} ({}), {} per node for its {} ranks", cuda::device_name(),
                           bytes_text(double(cuda::device_memory_bytes())), mine, mpi.local_size());
    });
    note += addresses_text(world);
    return {.device = Device::cuda,
            .note = std::move(note),
            .ranks_of_node = mpi.local_size(),
            .gpus_of_node = std::min(mine, mpi.local_size())};
}

void check_device(const ModelConfig& model, const ModelShape& shape, Device device) {
    if (device == Device::cpu) return;
    const std::string refusal = cuda::attention_refusal(attention_shape(model, shape));
    if (!refusal.empty()) fail(ExitCode::usage, "{}; change the model, or write compute.device: cpu", refusal);
    if (model.hidden_size > cuda::widest_row(shape.dtype, model.hidden_size))
        fail(ExitCode::usage,
             "model.hidden_size: CUDA norms take rows of at most {} elements, not {}; change the model, or write "
             "compute.device: cpu",
             cuda::widest_row(shape.dtype, model.hidden_size), model.hidden_size);
}

std::string serve_device(Mesh& mesh, Context& context, ShareGpu share, bool tensor_exchanges, GpuMessages messages) {
    if (context.on_cpu() || mesh.world->size() == 1) return {};
    const GpuAddress mine{host_identity(), parse_bus_id(cuda::pci_bus_id(cuda::chosen_device()))};
    const NcclAbility nccl = nccl_ability(*mesh.world, mine, share == ShareGpu::nccl);
    const auto session = nccl.serves ? make_nccl_session(context, mesh.world->shared()) : nullptr;
    int streams = 1;  // the compute stream
    const auto serve = [&](std::unique_ptr<Communicator>& group, NcclUse use, const char* name) {
        if (!group || group->size() == 1) return;
        streams += use == NcclUse::messages_to_next || use == NcclUse::messages_to_previous ? 2 : 1;
        group = nccl.serves ? make_nccl_communicator(std::move(group), context, use, name, session)
                            : make_staged_communicator(std::move(group), context, messages);
    };
    // The same order on all ranks, one group after the other: creating a group is a collective.
    serve(mesh.tensor, tensor_exchanges ? NcclUse::collectives_and_exchanges : NcclUse::collectives, "tensor");
    serve(mesh.data, NcclUse::collectives, "data");
    serve(mesh.pipeline_forward, NcclUse::messages_to_next, "pipeline forward");
    serve(mesh.pipeline_backward, NcclUse::messages_to_previous, "pipeline backward");
    serve(mesh.embedding, NcclUse::collectives, "embedding");
    if (&group_of_all(mesh) == mesh.world.get()) serve(mesh.world, NcclUse::collectives, "world");
    if (!nccl.serves)
        return fmt::format(
            "groups talk through host memory and MPI{}: {}",
            messages == GpuMessages::direct ? " (of GPUs between stages, since it takes such memory)" : "", nccl.note);
    const std::string warning = cuda::environment_warning(streams);
    return fmt::format("groups talk through {}{}{}", nccl.note, warning.empty() ? "" : "; ", warning);
}

}  // namespace gpas
