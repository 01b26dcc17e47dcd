#include "engine/run/threads.hpp"

#include "base/error.hpp"
#include "base/error_of.hpp"

#include <fmt/format.h>
#include <mpi.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

namespace gpas {
namespace {

constexpr int most_cpus = 4096;
constexpr std::size_t longest_group = 512;

// RankCpus in a fixed size, so that ranks can exchange it by MPI_Allgather. Quotas are not sent.
struct Packed {
    std::array<std::uint64_t, most_cpus / 64> cpus = {};
    char group[longest_group] = "";
};

Packed pack(const RankCpus& rank) {
    Packed packed;
    for (const int cpu : rank.cpus)
        if (cpu < most_cpus) packed.cpus[std::size_t(cpu / 64)] |= std::uint64_t(1) << (cpu % 64);
    std::strncpy(packed.group, rank.group.c_str(), longest_group - 1);
    return packed;
}

RankCpus unpack(const Packed& packed) {
    RankCpus rank;
    for (int cpu = 0; cpu < most_cpus; ++cpu)
        if (packed.cpus[std::size_t(cpu / 64)] >> (cpu % 64) & 1) rank.cpus.insert(cpu);
    rank.group = packed.group;
    return rank;
}

bool is_within(const std::string& group, const std::string& ancestor) {
    return ancestor == "/" || group == ancestor || group.starts_with(ancestor + "/");
}

// Number of CPUs of a rank (fractional), if ranks that may run on the same CPU share it in equal parts.
double share_of(const std::vector<RankCpus>& node, std::size_t mine) {
    double share = 0.0;
    for (const int cpu : node[mine].cpus)
        share += 1.0 / double(std::count_if(node.begin(), node.end(),
                                            [&](const RankCpus& rank) { return rank.cpus.contains(cpu); }));
    return share;
}

std::string count_text(double value) {
    return value == std::floor(value) ? fmt::format("{:.0f}", value) : fmt::format("{:.1f}", value);
}

const char* plural(double count) { return count == 1.0 ? "" : "s"; }

}  // namespace

RankCpus own_cpus(const std::filesystem::path& root) {
    RankCpus own;
    std::vector<cpu_set_t> mask(most_cpus / CPU_SETSIZE);
    const std::size_t bytes = mask.size() * sizeof(cpu_set_t);
    if (sched_getaffinity(0, bytes, mask.data()) == 0)
        for (int cpu = 0; cpu < most_cpus; ++cpu)
            if (CPU_ISSET_S(std::size_t(cpu), bytes, mask.data())) own.cpus.insert(cpu);
    for (int cpu = 0; own.cpus.empty() && cpu < std::max(1, int(std::thread::hardware_concurrency())); ++cpu)
        own.cpus.insert(cpu);
    own.quotas = cgroup_cpu_quotas(root);
    const std::vector<Cgroup> groups = own_cgroups("cpu", root);
    if (!groups.empty()) own.group = groups.front().path;
    return own;
}

ThreadChoice choose_threads(std::int64_t configured, const std::vector<RankCpus>& node, std::size_t mine) {
    const RankCpus& own = node[mine];
    double share = share_of(node, mine);
    std::set<int> usable;  // CPUs of all ranks that share a CPU with this rank
    std::int64_t sharers = 0;
    for (const RankCpus& rank : node) {
        if (std::none_of(rank.cpus.begin(), rank.cpus.end(), [&](int cpu) { return own.cpus.contains(cpu); })) continue;
        ++sharers;
        usable.insert(rank.cpus.begin(), rank.cpus.end());
    }
    double total = double(usable.size());
    std::string limit;
    for (const CpuQuota& quota : own.quotas) {
        const auto in_group = std::count_if(node.begin(), node.end(),
                                            [&](const RankCpus& rank) { return is_within(rank.group, quota.path); });
        const double part = quota.cpus / double(std::max<std::int64_t>(1, in_group));
        if (part >= share) continue;
        share = part;
        sharers = in_group;
        total = quota.cpus;
        limit = fmt::format(" (CPU quota of cgroup {})", quota.path);
    }
    const int fitting = std::max(1, int(std::floor(share + 1e-9)));
    ThreadChoice choice{.threads = configured > 0 ? int(configured) : fitting};
    const std::string place =
        fmt::format("{} CPU{} usable on the node{}, {} rank{} on {}", count_text(total), plural(total), limit, sharers,
                    plural(double(sharers)), total == 1.0 ? "it" : "them");
    choice.note = fmt::format("{} thread{} per rank{}: {}", choice.threads, plural(choice.threads),
                              configured > 0 ? " (compute.threads)" : "", place);
    const double wanted = double(choice.threads) * double(sharers);
    if (wanted > total)
        choice.warning = fmt::format(
            "warning: {} threads share {} CPU{}: {} per rank, {}; threads wait for each other in every operation, so a "
            "step takes much longer than with {} thread{} per rank (2 to 50 times as long was measured); {}",
            count_text(wanted), count_text(total), plural(total), choice.threads, place, fitting, plural(fitting),
            configured > fitting ? fmt::format("set compute.threads={} or 0", fitting) : "start fewer ranks per node");
    return choice;
}

namespace {

ThreadChoice choose_threads_of_job(std::int64_t configured, const MpiSession& mpi) {
    const RankCpus own = own_cpus();
    std::vector<Packed> packed(std::size_t(mpi.local_size()));
    const Packed mine = pack(own);
    if (mpi.local_size() == 1) {
        packed[0] = mine;
    } else {
        MPI_Comm ranks = MPI_COMM_NULL;
        MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &ranks);
        MPI_Allgather(&mine, int(sizeof mine), MPI_BYTE, packed.data(), int(sizeof mine), MPI_BYTE, ranks);
        MPI_Comm_free(&ranks);
    }
    std::vector<RankCpus> node;
    for (const Packed& rank : packed) node.push_back(unpack(rank));
    node[std::size_t(mpi.local_rank())] = own;
    return choose_threads(configured, node, std::size_t(mpi.local_rank()));
}

}  // namespace

int compute_threads(std::int64_t configured, const MpiSession& mpi, bool print_note) {
    const ThreadChoice choice = choose_threads_of_job(configured, mpi);
    if (mpi.rank() == 0 && print_note) fmt::print(stderr, "gpas: {}\n", choice.note);
    if (mpi.local_rank() == 0 && !choice.warning.empty()) fmt::print(stderr, "gpas: {}\n", choice.warning);
    return choice.threads;
}

void start_threads(int threads) {
    std::mutex mutex;
    std::condition_variable changed;
    bool over = false;
    std::vector<std::thread> started;
    const auto end = [&] {
        {
            const std::lock_guard lock(mutex);
            over = true;
        }
        changed.notify_all();
        for (std::thread& thread : started) thread.join();
    };
    try {
        for (int i = 1; i < threads; ++i)
            started.emplace_back([&] {
                std::unique_lock lock(mutex);
                changed.wait(lock, [&] { return over; });
            });
    } catch (const std::exception& thrown) {
        end();
        const Error error = error_of(thrown);
        fail(error.code(), "{} of {} threads (compute.threads) are started: {}", started.size() + 1, threads,
             error.what());
    }
    end();
    std::atomic<int> count = 0;
#pragma omp parallel num_threads(threads)
    ++count;  // a side effect, so that the compiler keeps the parallel region
}

}  // namespace gpas
