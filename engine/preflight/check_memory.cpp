// Chooses the device of the run, and checks that the memory of each node and GPU is large enough.
#include "base/bytes_text.hpp"
#include "base/error.hpp"
#include "engine/plan/gpu_memory.hpp"
#include "engine/preflight/gather.hpp"
#include "engine/preflight/job.hpp"
#include "engine/preflight/machine.hpp"
#include "engine/run/host_state.hpp"
#include "engine/run/threads.hpp"
#include "kernels/cuda/gpu.hpp"
#include "parallel/agree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace gpas::preflight {
namespace {

// Bytes of /dev/shm per rank that MPI and NCCL allocate later, for large messages.
constexpr double shared_bytes = 16.0 * (1 << 20);
constexpr double shared_bytes_gpu = 64.0 * (1 << 20);

double free_shared_memory() {
    try {
        return double(free_bytes("/dev/shm"));
    } catch (const Error&) {
        return 0.0;
    }
}

void take_device_memory(Job& job, Findings& findings) {
    std::string failed;
    {
        std::optional<Arena> taken;
        try {
            taken.emplace(job.plan.total_bytes(), Device::cuda);
        } catch (const Error& error) {
            failed = error.what();
        }
        job.world.barrier("memory of GPUs");  // ranks that share a GPU must hold their memory at the same time
    }
    const std::vector<std::string> failures = gather(job.world, failed, "memory of GPUs");
    for (std::size_t rank = 0; rank < failures.size(); ++rank)
        if (!failures[rank].empty())
            findings.push_back(
                {Severity::problem,
                 fmt::format(
                     "{}: cannot allocate {} of GPU memory: {}; end other programs on this GPU (nvidia-smi lists "
                     "them)",
                     ranks_text({int(rank)}, job.hosts), bytes_text(double(job.plan.total_bytes())), failures[rank])});
}

}  // namespace

void choose_and_check_device(Job& job) {
    const ChosenDevice chosen = choose_device(job.config().compute, job.mpi, job.world);
    job.device = chosen.device;
    const MeshPlace place = place_of(job.world.rank(), job.mesh_size, job.config().parallel.order);
    agree(job.world, [&] {
        const ReplicaShape shape = replica_shape(job.config(), job.mesh_size, place, job.threads, true, job.device);
        check_device(job.config().model, shape.compute, job.device);
        job.plan = plan_replica(shape);
        if (job.device == Device::cuda)
            check_free_gpu_memory(job.loaded, job.mesh_size, job.plan.total_bytes(), gpu_room(chosen));
    });
    if (job.device == Device::cpu) return;
    const auto facts = gather(job.world, std::vector<std::string>{cuda::device_name(), gpu_driver()}, "GPUs");
    Findings findings = judge_equal({.what = "the GPU", .advice = "use nodes of one kind"}, facts[0], job.hosts);
    for (Finding& found : judge_equal({.what = "the GPU driver", .advice = "install the same driver on every node"},
                                      facts[1], job.hosts))
        findings.push_back(std::move(found));
    job.report.add("GPU", fmt::format("{}, {}", facts[0][0], facts[1][0]), findings);
}

// Compares the nodes' free memory with the bytes that the ranks will need. GPU memory is tested by allocating it.
void check_memory(Job& job) {
    const bool cpu = job.device == Device::cpu;
    const double mine =
        cpu ? double(job.plan.total_bytes() + checkpoint_copy_bytes(job.config().checkpoint, job.plan.saved_bytes))
            : double(job.plan.saved_bytes);
    const AvailableMemory available = available_memory();
    const std::vector<double> needed = gather(job.world, mine, "memory that ranks need");
    const std::vector<double> there = gather(job.world, double(available.bytes), "memory that is available");
    const std::vector<double> shared = gather(job.world, free_shared_memory(), "shared memory that is free");
    const std::vector<std::string> limits = gather(job.world, available.limit, "limits of memory");
    std::vector<RankMemory> ranks;
    ranks.reserve(job.hosts.size());
    for (std::size_t rank = 0; rank < job.hosts.size(); ++rank)
        ranks.push_back({needed[rank], there[rank], limits[rank], cpu ? shared_bytes : shared_bytes_gpu, shared[rank]});
    const std::vector<NodeMemory> nodes = memory_of_nodes(ranks, job.hosts);
    const auto tightest = *std::min_element(nodes.begin(), nodes.end(), [](const NodeMemory& a, const NodeMemory& b) {
        return a.available_bytes - a.needed_bytes < b.available_bytes - b.needed_bytes;
    });
    Findings findings = judge_memory(nodes, job.hosts);
    if (!cpu) take_device_memory(job, findings);
    job.report.add("memory",
                   fmt::format("{}: needs {} of {} ({}), /dev/shm {} free", ranks_text(tightest.ranks, job.hosts),
                               bytes_text(tightest.needed_bytes), bytes_text(tightest.available_bytes), tightest.limit,
                               bytes_text(tightest.shared_free_bytes)),
                   findings);
}

}  // namespace gpas::preflight
