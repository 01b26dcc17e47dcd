// Chooses the device that the ranks of a run compute on, and the transport of collectives on its memory.
#pragma once

#include "engine/model/workspace.hpp"
#include "io/config/run_config.hpp"
#include "kernels/context.hpp"
#include "parallel/mesh.hpp"
#include "parallel/mpi/mpi_gpu_memory.hpp"
#include "parallel/mpi/mpi_session.hpp"
#include "parallel/staged_communicator.hpp"

#include <string>

namespace gpas {

struct ChosenDevice {
    Device device = Device::cpu;
    std::string note;       // one line for the log: the device, or why it is not a GPU; the same on every rank
    int ranks_of_node = 1;  // ranks of the job on this node
    int gpus_of_node = 1;   // GPUs that the ranks of this node see; at most ranks_of_node are used
    int ranks_of_gpu() const { return (ranks_of_node + gpus_of_node - 1) / gpus_of_node; }
};

// The device that compute.device asks for. `auto` means GPUs if every rank sees one, else the CPU. Rank r of a node
// gets a GPU of the NUMA node that the launcher has bound it to, or else GPU r modulo the number of GPUs; see
// choose_gpu(). Collective over `world`. Error(environment) on every rank if GPUs were asked for and a rank sees none.
ChosenDevice choose_device(const ComputeConfig& compute, const MpiSession& mpi, Communicator& world);

// Error(usage) if the device has no kernels for this model.
void check_device(const ModelConfig& model, const ModelShape& shape, Device device);

// Sets up the groups of the mesh for memory of the context's device: with NCCL, or with MPI through the host if NCCL
// cannot be used. No effect on the CPU. share: whether NCCL may be used by ranks that share a GPU. tensor_exchanges:
// the tensor group also calls start_exchange(). messages: how point-to-point messages of groups without NCCL are sent.
// Returns a line for the log: the transport, with the reason or the NCCL version. Collective over the world;
// Error(environment) on every rank, see nccl_ability().
std::string serve_device(Mesh& mesh, Context& context, ShareGpu share, bool tensor_exchanges = false,
                         GpuMessages messages = mpi_takes_gpu_memory() ? GpuMessages::direct : GpuMessages::copied);

}  // namespace gpas
