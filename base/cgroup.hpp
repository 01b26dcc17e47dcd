// What the control groups of this process allow it: Slurm, Kubernetes and docker limit their jobs by them. Versions 1
// and 2. A limit of a group holds for all groups within, so each ancestor counts. In every function `root` is the folder
// in which /proc and /sys are found; tests give another one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace gpas {

// One group: its path below the mount point ("/slurm/job_7/step_0", "/"), and its folder.
struct Cgroup {
    std::string path;
    std::filesystem::path folder;
    int version = 2;
};

// The groups of this process that have this controller ("memory", "cpu"), innermost first.
std::vector<Cgroup> own_cgroups(const std::string& controller, const std::filesystem::path& root = "/");

// The lowest memory limit in bytes; nothing if there is none.
std::optional<std::int64_t> cgroup_memory_limit(const std::filesystem::path& root = "/");

// CPU time per second of wall time that a group may use.
struct CpuQuota {
    std::string path;  // of the group
    double cpus = 0.0;
};
// The quotas of all groups of this process, innermost first; groups without one are left out.
std::vector<CpuQuota> cgroup_cpu_quotas(const std::filesystem::path& root = "/");

// How many processes the kernel has killed so far because memory was short.
struct MemoryKills {
    std::int64_t in_groups = 0;  // in the groups of this process
    std::int64_t on_node = 0;    // since the node was booted
};
MemoryKills memory_kills(const std::filesystem::path& root = "/");
// What has been killed between the two, in words; empty: nothing. limit_bytes: of the groups, if there is one.
std::string memory_kills_text(const MemoryKills& before, const MemoryKills& now,
                              std::optional<std::int64_t> limit_bytes);

}  // namespace gpas
