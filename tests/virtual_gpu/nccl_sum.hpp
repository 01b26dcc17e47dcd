// Reductions of the virtual NCCL.
#pragma once

#include <nccl.h>

#include <cstddef>
#include <vector>

namespace gpas::virtual_gpu {

// to [count] = the element-wise sum, maximum or minimum of the parts [count]: computed in double precision, in the
// order of the ranks, and rounded once to `type`.
void reduce(void* to, const std::vector<const std::byte*>& parts, std::size_t count, ncclDataType_t type,
            ncclRedOp_t operation);

}  // namespace gpas::virtual_gpu
