// The limits that control groups (cgroups, versions 1 and 2) set for this process. Slurm, Kubernetes and Docker limit
// jobs with them. A limit of a group applies to all groups below it, so these functions read all ancestors of the
// process's group. In every function `root` is the directory that contains proc/ and sys/; tests pass another one.
// A file that cannot be read counts as no limit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace gpas {

// One group: its path below the mount point ("/slurm/job_7/step_0", "/"), and its directory.
struct Cgroup {
    std::string path;
    std::filesystem::path folder;
    int version = 2;
};

// The groups of this process with this controller ("memory", "cpu"), innermost first.
std::vector<Cgroup> own_cgroups(const std::string& controller, const std::filesystem::path& root = "/");

// The lowest memory limit, in bytes; nothing if there is no limit.
std::optional<std::int64_t> cgroup_memory_limit(const std::filesystem::path& root = "/");

// The CPU time that a group may use.
struct CpuQuota {
    std::string path;   // the group's path
    double cpus = 0.0;  // seconds of CPU time per second of wall time
};
// The quotas of this process's groups, innermost first. Groups without a quota are left out.
std::vector<CpuQuota> cgroup_cpu_quotas(const std::filesystem::path& root = "/");

// The number of processes that the kernel's out-of-memory killer has killed.
struct MemoryKills {
    std::int64_t in_groups = 0;  // in this process's groups, since they exist
    std::int64_t on_node = 0;    // on this node, since it was booted
};
MemoryKills memory_kills(const std::filesystem::path& root = "/");
// One phrase about the processes that were killed between `before` and `now`; empty if no process was killed. limit_bytes:
// the memory limit of the groups, for the phrase.
std::string memory_kills_text(const MemoryKills& before, const MemoryKills& now,
                              std::optional<std::int64_t> limit_bytes);

}  // namespace gpas
