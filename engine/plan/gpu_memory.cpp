#include "engine/plan/gpu_memory.hpp"

#include "base/bytes_text.hpp"
#include "io/config/check.hpp"
#include "kernels/cuda/gpu.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gpas {
namespace {

constexpr std::int64_t mebibyte = std::int64_t(1) << 20;

// Measured (docs/results/gpu.md, H200, driver 580): nvidia-smi showed 0.4 and 0.6 GiB more than the arenas in two runs
// of one rank. That is the sum of context, driver memory, kernels and cuBLASLt's workspace; here all of it counts as
// context.
constexpr std::int64_t context_bytes = 640 * mebibyte;
// SASS code of gpas' kernels and of the cuBLASLt and NCCL kernels that a run calls. A bound, not a measurement: the
// libraries load kernels lazily, and all device code of NCCL is about 200 MiB per architecture.
constexpr std::int64_t kernel_bytes = 256 * mebibyte;
constexpr std::int64_t cublas_workspace_bytes = 32 * mebibyte;  // kernels/cuda/matmul.cpp
constexpr std::int64_t pinned_bytes = 4 * mebibyte;             // kernels/cuda/gpu.cpp, PinnedBuffer

// Per connection of an NCCL channel the receiver allocates 10 485 760 bytes (Simple 4 MiB, LL128 4.7 MiB, LL 0.5 MiB,
// in pages of 2 MiB) and the sender 2 097 152 bytes. Source: output of NCCL_DEBUG_SUBSYS=ALLOC in
// github.com/NVIDIA/nccl/issues/1685, 2025-04; sizes in NCCL's src/init.cc.
constexpr std::int64_t receiving_bytes = 10 * mebibyte;
constexpr std::int64_t sending_bytes = 2 * mebibyte;
// Most channels of a communicator: maxCTAs in parallel/nccl/nccl_session.cpp.
constexpr std::int64_t collective_channels = 16;
constexpr std::int64_t message_channels = 4;
// Connections of a channel per direction: one of the ring, and for the tree one with two ranks or two with more ranks.
// That is 24 or 36 MiB per channel. For comparison (NCCL issue 964, 2023-08): on A100 GPUs, with 24 channels, NCCL
// used 544 MiB with two ranks (23 MiB per channel) and 688 MiB with more ranks (29 MiB per channel).
constexpr std::int64_t connections_of_two = 2, connections_of_more = 3;
// NVLink SHARP, used with three or more ranks in a node: 16 channels x 2 x 8 steps of 128 KiB per rank of the node
// (NCCL's src/transport/nvls.cc).
constexpr std::int64_t nvls_bytes_of_peer = 32 * mebibyte;
// Buffers for messages over the network: 16 steps of at most 512 KiB per channel (NCCL's src/transport/net.cc).
constexpr std::int64_t network_bytes_of_channel = 8 * mebibyte;

std::int64_t collective_bytes(int ranks, int in_a_node) {
    if (ranks == 1) return 0;
    const std::int64_t connections = ranks == 2 ? connections_of_two : connections_of_more;
    const std::int64_t nvls = in_a_node > 2 ? in_a_node * nvls_bytes_of_peer : 0;
    const std::int64_t network = ranks > in_a_node ? collective_channels * network_bytes_of_channel : 0;
    return collective_channels * connections * (receiving_bytes + sending_bytes) + nvls + network;
}

}  // namespace

GpuOverhead gpu_overhead(MeshSize mesh, int gpus_per_node, bool tied_embeddings) {
    GpuOverhead overhead{.context_bytes = context_bytes,
                         .kernel_bytes = kernel_bytes,
                         .cublas_bytes = cublas_workspace_bytes,
                         .host_bytes = pinned_bytes};
    const auto add = [&](std::int64_t bytes) {
        overhead.nccl_bytes += bytes;
        overhead.communicators += bytes > 0;
    };
    const int tensor_in_node = std::min(mesh.tensor, gpus_per_node);
    add(collective_bytes(mesh.tensor, tensor_in_node));
    add(collective_bytes(mesh.data, std::min(mesh.data, std::max(1, gpus_per_node / tensor_in_node))));
    // If neither the tensor nor the data group has all ranks (group_of_all), there is a communicator of all ranks.
    if (mesh.ranks() > std::max(mesh.tensor, mesh.data))
        add(collective_bytes(mesh.ranks(), std::min(mesh.ranks(), gpus_per_node)));
    if (mesh.pipeline == 1) return overhead;
    // Per direction of the pipeline (forward, backward) one communicator to send to a neighbour and one to receive from
    // the other neighbour.
    const bool leaves_node = mesh.ranks() > gpus_per_node;
    const std::int64_t network = leaves_node ? message_channels * network_bytes_of_channel : 0;
    for (int direction = 0; direction < 2; ++direction) {
        add(message_channels * sending_bytes + network);
        add(message_channels * receiving_bytes + network);
    }
    if (tied_embeddings) add(collective_bytes(2, leaves_node ? 1 : 2));
    return overhead;
}

GpuRoom gpu_room(const ChosenDevice& device) {
    return {.free_bytes = cuda::free_memory_bytes(),
            .device_bytes = cuda::device_memory_bytes(),
            .gpus_of_node = device.gpus_of_node,
            .ranks_of_gpu = device.ranks_of_gpu()};
}

void check_free_gpu_memory(const LoadedConfig& config, MeshSize mesh, std::int64_t arena_bytes, const GpuRoom& room) {
    const bool shared = room.ranks_of_gpu > 1;
    const GpuOverhead overhead =
        gpu_overhead(shared ? MeshSize{} : mesh, room.gpus_of_node, config.values.model.tied_embeddings);
    const std::string who = shared ? fmt::format("each of the {} ranks on a GPU", room.ranks_of_gpu) : "a rank";
    const std::string communicators =
        overhead.communicators > 0
            ? fmt::format("{} NCCL communicator{}, ", overhead.communicators, overhead.communicators > 1 ? "s" : "")
            : "";
    check_memory(
        config, room.ranks_of_gpu * (arena_bytes + overhead.to_allocate_bytes()), room.free_bytes,
        fmt::format("{} needs {} of memory of the GPU and up to {} for {}kernels and cuBLASLt, but {} of {} are "
                    "free",
                    who, bytes_text(double(arena_bytes)), bytes_text(double(overhead.to_allocate_bytes())),
                    communicators, bytes_text(double(room.free_bytes)), bytes_text(double(room.device_bytes))));
}

}  // namespace gpas
