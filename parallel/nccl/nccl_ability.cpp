#include "parallel/nccl/nccl_ability.hpp"

#include "parallel/agree.hpp"
#include "parallel/nccl/nccl_library.hpp"

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace gpas {
namespace {

constexpr int first_that_shares = 23000;  // 2.30, as ncclGetVersion counts

std::string version_text(std::int64_t version) {
    return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

// Ranks that share a GPU wait for each other in kernels, while the GPU switches between their processes: so few thread
// blocks per kernel (NCCL_MAX_CTAS). NVLS needs multicast, which does not exist within one GPU: so it is off.
void set_sharing_variables() {
    constexpr int keep = 0;
    setenv("NCCL_MULTI_RANK_GPU_ENABLE", "1", keep);
    setenv("NCCL_NVLS_ENABLE", "0", keep);
    setenv("NCCL_MAX_CTAS", "2", keep);
    if (std::string_view(std::getenv("NCCL_MULTI_RANK_GPU_ENABLE")) == "0")
        fail(
            ExitCode::environment,
            "parallel.share_gpu: found nccl, but NCCL_MULTI_RANK_GPU_ENABLE is 0; unset this variable, or set parallel.share_gpu to staged");
}

int own_version() {
    int version = 0;
    const Nccl nccl = load_nccl();
    if (const ncclResult_t result = nccl.ncclGetVersion(&version); result != ncclSuccess)
        fail(ExitCode::environment, "NCCL: ncclGetVersion: {}", nccl.ncclGetErrorString(result));
    return version;
}

void require_version_that_shares(Communicator& world, std::int64_t mine) {
    std::vector<std::int64_t> versions(std::size_t(world.size()), 0);
    versions[std::size_t(world.rank())] = mine;
    world.all_reduce(versions.data(), std::int64_t(versions.size()), ReduceOp::sum, "versions of NCCL");
    const auto oldest = std::ranges::min_element(versions);
    if (*oldest >= first_that_shares) return;
    throw AgreedError(ExitCode::environment,
                      fmt::format("parallel.share_gpu: found nccl, which needs NCCL 2.30 or later, but rank {} has {}; "
                                  "put a later version into LD_LIBRARY_PATH (nvidia-nccl-cu{} from PyPI), set "
                                  "parallel.share_gpu to staged, or start one rank per GPU",
                                  oldest - versions.begin(), version_text(*oldest), CUDART_VERSION / 1000));
}

}  // namespace

NcclAbility nccl_ability(Communicator& world, GpuAddress mine, bool share) {
    const std::vector<GpuAddress> addresses = gather_addresses(world, mine);
    const auto sharing = ranks_that_share(addresses);
    if (sharing && !share)
        return {.note = fmt::format(
                    "ranks {} and {} share GPU {}, which NCCL refuses unless parallel.share_gpu is nccl",
                    sharing->first, sharing->second, bus_id_text(addresses[std::size_t(sharing->first)].bus))};
    const std::int64_t version = agree(world, [&] {
        if (sharing) set_sharing_variables();
        return own_version();
    });
    if (!sharing) return {.serves = true, .note = "NCCL " + version_text(version)};
    require_version_that_shares(world, version);
    return {.serves = true, .note = fmt::format("NCCL {}, with several ranks per GPU", version_text(version))};
}

}  // namespace gpas
