// What a run on a GPU takes of its memory beside its arenas.
#pragma once

#include "engine/run/device.hpp"
#include "io/config/load.hpp"
#include "parallel/mesh.hpp"

#include <cstdint>
#include <string>

namespace gpas {

// Upper bounds, in bytes. Each figure's source stands in gpu_memory.cpp.
struct GpuOverhead {
    std::int64_t context_bytes = 0;  // the CUDA context, and what the driver keeps
    std::int64_t kernel_bytes = 0;   // code of kernels, loaded when the run starts
    std::int64_t cublas_bytes = 0;   // cuBLASLt's workspace
    std::int64_t nccl_bytes = 0;     // buffers of all communicators of a rank
    int communicators = 0;           // of those
    std::int64_t host_bytes = 0;     // pinned memory of the host; not in the totals
    std::int64_t to_allocate_bytes() const { return kernel_bytes + cublas_bytes + nccl_bytes; }
    std::int64_t total_bytes() const { return context_bytes + to_allocate_bytes(); }
};

// Of the rank with the most communicators. gpus_per_node: how many ranks of a node have a GPU each.
GpuOverhead gpu_overhead(MeshSize mesh, int gpus_per_node, bool tied_embeddings);

// The GPU of a rank as it is before the run allocates anything on it; the CUDA context exists.
struct GpuRoom {
    std::int64_t free_bytes = 0;
    std::int64_t device_bytes = 0;
    int gpus_of_node = 1;
    int ranks_of_gpu = 1;  // of this run; ranks that share a GPU talk through the host, without NCCL
};

// Of the chosen GPU, now.
GpuRoom gpu_room(const ChosenDevice& device);

// Error(usage) if arenas of arena_bytes and the overhead (without the context) need more than is free; one line that
// says what needs how much.
void check_free_gpu_memory(const LoadedConfig& config, MeshSize mesh, std::int64_t arena_bytes, const GpuRoom& room);

}  // namespace gpas
