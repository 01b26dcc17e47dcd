// Whether NCCL can carry a job's groups: of which version it is, and which ranks share a GPU.
#pragma once

#include "parallel/communicator.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gpas {

// Which GPU a rank computes on, as NCCL tells GPUs apart: by machine and bus id. MIG slices of one GPU have one bus id.
struct GpuAddress {
    std::int64_t host = 0;  // see host_identity()
    std::int64_t bus = 0;   // see parse_bus_id()
    auto operator<=>(const GpuAddress&) const = default;
};
// Of this machine, as NCCL has it: the host's name and boot id together. NCCL_HOSTID, if set, instead of both.
std::int64_t host_identity();
// "0000:1b:00.0" as a number, and back. Error(internal) if it is not of that form.
std::int64_t parse_bus_id(const std::string& text);
std::string bus_id_text(std::int64_t bus);

// The addresses of all ranks, in rank order. Collective.
std::vector<GpuAddress> gather_addresses(Communicator& world, GpuAddress mine);
// The first two ranks with the same address.
std::optional<std::pair<int, int>> ranks_that_share(const std::vector<GpuAddress>& ranks);

struct NcclAbility {
    bool serves = false;
    std::string note;  // "NCCL 2.32.3", or why not: one line
};

// Whether NCCL can carry this job: it was built in, and no two ranks share a GPU, or they may (`share`,
// parallel.share_gpu: nccl). Then NCCL must be 2.30 or later on every rank, and its variables for that are set in this
// process if they are not yet: NCCL_MULTI_RANK_GPU_ENABLE=1, NCCL_NVLS_ENABLE=0, NCCL_MAX_CTAS=2. To be called before
// any other function of NCCL is. The same answer on every rank; collective. Error(environment) on every rank if NCCL
// could carry the job, but its library is missing on one of the machines, is too old there, or was told by a variable
// not to.
NcclAbility nccl_ability(Communicator& world, GpuAddress mine, bool share);

}  // namespace gpas
