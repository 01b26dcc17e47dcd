#include "base/cgroup.hpp"
#include "kernels/cpu/blocks.hpp"
#include "kernels/cpu/scratch_sizes.hpp"
#include "kernels/cuda/gpu.hpp"
#include "kernels/cuda/scratch_sizes.hpp"
#include "kernels/ops.hpp"

#include <unistd.h>

#include <algorithm>

namespace gpas {

std::int64_t device_memory_bytes(Device device) {
    if (device == Device::cuda) return cuda::device_memory_bytes();
    const std::int64_t machine = std::int64_t(sysconf(_SC_PHYS_PAGES)) * std::int64_t(sysconf(_SC_PAGESIZE));
    return std::min(machine, cgroup_memory_limit().value_or(machine));
}

std::int64_t scratch_bytes(const ScratchShape& shape) {
    const bool attends = shape.attention.kv_heads > 0;
    if (shape.device == Device::cuda)
        return std::max({attends ? cuda::attention_scratch_bytes(shape.attention) : 0,
                         cuda::stream_scratch_bytes(shape.columns), cuda::flat_scratch_bytes()});
    return std::max({attends ? cpu::attention_scratch_bytes(shape.attention, shape.threads) : 0,
                     cpu::row_block_scratch_bytes(shape.columns), cpu::flat_scratch_bytes()});
}

}  // namespace gpas
