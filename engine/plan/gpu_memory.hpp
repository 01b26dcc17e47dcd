// GPU memory that a run uses in addition to its arenas: CUDA context, kernels, cuBLASLt, NCCL.
#pragma once

#include "engine/run/device.hpp"
#include "io/config/load.hpp"
#include "parallel/mesh.hpp"

#include <cstdint>
#include <string>

namespace gpas {

// Upper bounds, in bytes. The source of each figure is in gpu_memory.cpp.
struct GpuOverhead {
    std::int64_t context_bytes = 0;  // CUDA context and the driver's memory
    std::int64_t kernel_bytes = 0;   // code of kernels, loaded when the run starts
    std::int64_t cublas_bytes = 0;   // workspace of cuBLASLt
    std::int64_t nccl_bytes = 0;     // buffers of all NCCL communicators of a rank
    int communicators = 0;           // number of NCCL communicators of a rank
    std::int64_t host_bytes = 0;     // pinned host memory; not in the totals
    std::int64_t to_allocate_bytes() const { return kernel_bytes + cublas_bytes + nccl_bytes; }
    std::int64_t total_bytes() const { return context_bytes + to_allocate_bytes(); }
};

// Overhead of the rank with the most communicators. gpus_per_node: ranks per node, each with a GPU of its own.
GpuOverhead gpu_overhead(MeshSize mesh, int gpus_per_node, bool tied_embeddings);

// State of a rank's GPU when the CUDA context exists and the run has allocated nothing else.
struct GpuRoom {
    std::int64_t free_bytes = 0;
    std::int64_t device_bytes = 0;
    int gpus_of_node = 1;
    int ranks_of_gpu = 1;  // ranks of this run per GPU; if more than 1, they communicate through the host, without NCCL
};

// The current state of the chosen GPU.
GpuRoom gpu_room(const ChosenDevice& device);

// Error(usage) if arena_bytes and the overhead (without the context, which exists) exceed the free memory. The message
// is one line with the bytes of each part.
void check_free_gpu_memory(const LoadedConfig& config, MeshSize mesh, std::int64_t arena_bytes, const GpuRoom& room);

}  // namespace gpas
