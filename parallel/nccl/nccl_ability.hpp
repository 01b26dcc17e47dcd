// Whether a job can use NCCL: whether its library is present, in which version, and which ranks share a GPU.
#pragma once

#include "parallel/communicator.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gpas {

// The GPU of a rank. Like NCCL, it identifies GPUs by machine and PCI bus id. MIG slices of one GPU have the same bus
// id.
struct GpuAddress {
    std::int64_t host = 0;  // see host_identity()
    std::int64_t bus = 0;   // see parse_bus_id()
    auto operator<=>(const GpuAddress&) const = default;
};
// A hash that identifies this machine, as NCCL does: of the host name and the boot id, or of NCCL_HOSTID if it is set.
std::int64_t host_identity();
// Converts a PCI bus id such as "0000:1b:00.0" to a number, and back. Error(internal) if the text has another form.
std::int64_t parse_bus_id(const std::string& text);
std::string bus_id_text(std::int64_t bus);

// The addresses of all ranks, in rank order. Collective.
std::vector<GpuAddress> gather_addresses(Communicator& world, GpuAddress mine);
// Two ranks that have the same GPU; nothing if no two ranks share one.
std::optional<std::pair<int, int>> ranks_that_share(const std::vector<GpuAddress>& ranks);

struct NcclAbility {
    bool serves = false;
    std::string note;  // one line for the log: "NCCL 2.32.3", or why NCCL cannot be used
};

// Whether this job can use NCCL. Collective; the answer is the same on every rank. Call it before any NCCL function.
// NCCL serves if gpas was built with NCCL and no two ranks share a GPU. With `share` (parallel.share_gpu: nccl) ranks
// may share a GPU. If they do, every rank needs NCCL 2.30 or later, and this process gets the environment variables
// NCCL_MULTI_RANK_GPU_ENABLE=1, NCCL_NVLS_ENABLE=0 and NCCL_MAX_CTAS=2, unless they are set already.
// Error(environment) on every rank if on any rank the library is missing, too old to share a GPU, or
// NCCL_MULTI_RANK_GPU_ENABLE=0 forbids sharing that `share` allows.
NcclAbility nccl_ability(Communicator& world, GpuAddress mine, bool share);

}  // namespace gpas
