// Which device the ranks of a run compute on, and how their groups talk about memory that lies there.
#pragma once

#include "engine/model/workspace.hpp"
#include "io/config/run_config.hpp"
#include "kernels/context.hpp"
#include "parallel/mesh.hpp"
#include "parallel/mpi/mpi_gpu_memory.hpp"
#include "parallel/staged_communicator.hpp"

#include <string>

namespace gpas {

struct ChosenDevice {
    Device device = Device::cpu;
    std::string note;       // one line for the log: the device, or why it is not a GPU; the same on every rank
    int ranks_of_node = 1;  // of the job
    int gpus_of_node = 1;   // that ranks see; at most ranks_of_node are used
    int ranks_of_gpu() const { return (ranks_of_node + gpus_of_node - 1) / gpus_of_node; }
};

// What compute.device asks for: auto takes GPUs where every rank sees one. Rank r of a node takes a GPU of the NUMA
// node that the launcher has bound it to, or GPU r (modulo their number); see choose_gpu(). Collective over `world`;
// Error(environment) on every rank if a GPU was asked for and a rank has none.
ChosenDevice choose_device(const ComputeConfig& compute, const MpiSession& mpi, Communicator& world);

// Error(usage) where the device has no kernels for this model.
void check_device(const ModelConfig& model, const ModelShape& shape, Device device);

// Lets the groups of the mesh carry memory of the context's device: by NCCL, or over the host if NCCL cannot serve
// (share: whether it may serve ranks that share a GPU; tensor_exchanges: the tensor group calls start_exchange() too).
// Nothing on the CPU. Returns a line that says which, and why, or which version of NCCL. Collective over the world;
// Error(environment) on every rank, see nccl_ability(). `messages`: of groups that NCCL cannot serve.
std::string serve_device(Mesh& mesh, Context& context, ShareGpu share, bool tensor_exchanges = false,
                         GpuMessages messages = mpi_takes_gpu_memory() ? GpuMessages::direct : GpuMessages::copied);

}  // namespace gpas
