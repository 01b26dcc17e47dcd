#include "base/cgroup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

namespace gpas {
namespace {

using std::filesystem::path;

std::string text_of_file(const path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::optional<std::int64_t> number(const std::string& text) {  // nothing for "max", which means no limit
    char* end = nullptr;
    errno = 0;
    const long long value = std::strtoll(text.c_str(), &end, 10);
    if (end == text.c_str() || errno != 0) return std::nullopt;
    return value;
}

// The number that follows `name`, in a text with lines of the form "name number".
std::optional<std::int64_t> field(const std::string& text, const std::string& name) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with(name + " ")) return number(line.substr(name.size() + 1));
    return std::nullopt;
}

// Version 1 writes a number of about 2^63 if there is no limit.
constexpr std::int64_t no_limit_bytes = std::int64_t(1) << 62;

}  // namespace

std::vector<Cgroup> own_cgroups(const std::string& controller, const path& root) {
    std::vector<Cgroup> groups;
    std::istringstream lines(text_of_file(root / "proc/self/cgroup"));
    for (std::string line;
         std::getline(lines, line);) {  // "4:cpu,cpuacct:/group" of version 1, "0::/group" of version 2
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        const bool unified = controllers == ",,";
        if (!unified && controllers.find("," + controller + ",") == std::string::npos) continue;
        std::vector<path> tops{root / "sys/fs/cgroup"};
        if (unified)
            tops.push_back(root / "sys/fs/cgroup/unified");  // a hybrid system, with versions 1 and 2
        else
            tops = {root / "sys/fs/cgroup" / controller,
                    root / "sys/fs/cgroup" / controllers.substr(1, controllers.size() - 2)};
        std::error_code ignored;
        const auto top = std::find_if(tops.begin(), tops.end(),
                                      [&](const path& folder) { return std::filesystem::exists(folder, ignored); });
        if (top == tops.end()) continue;
        // In a container without its own cgroup namespace the path is the host's, and the group's directory is the
        // mount point itself.
        for (std::string group = line.substr(second + 1);;) {
            const path folder = *top / group.substr(std::min<std::size_t>(1, group.size()));
            if (std::filesystem::exists(folder, ignored))
                groups.push_back({.path = group, .folder = folder, .version = unified ? 2 : 1});
            if (group.size() <= 1) break;
            group.resize(std::max<std::size_t>(group.rfind('/'), 1));
        }
    }
    return groups;
}

std::optional<std::int64_t> cgroup_memory_limit(const path& root) {
    std::optional<std::int64_t> lowest;
    for (const Cgroup& group : own_cgroups("memory", root)) {
        const char* file = group.version == 2 ? "memory.max" : "memory.limit_in_bytes";
        const auto limit = number(text_of_file(group.folder / file));
        if (limit && *limit < no_limit_bytes) lowest = std::min(*limit, lowest.value_or(*limit));
    }
    return lowest;
}

std::vector<CpuQuota> cgroup_cpu_quotas(const path& root) {
    std::vector<CpuQuota> quotas;
    for (const Cgroup& group : own_cgroups("cpu", root)) {
        std::optional<std::int64_t> quota, period;  // microseconds
        if (group.version == 2) {
            std::istringstream words(text_of_file(group.folder / "cpu.max"));  // "200000 100000", "max 100000"
            std::string first, second;
            words >> first >> second;
            quota = number(first);
            period = number(second);
        } else {
            quota = number(text_of_file(group.folder / "cpu.cfs_quota_us"));  // -1: no quota
            period = number(text_of_file(group.folder / "cpu.cfs_period_us"));
        }
        if (quota && period && *quota > 0 && *period > 0)
            quotas.push_back({.path = group.path, .cpus = double(*quota) / double(*period)});
    }
    return quotas;
}

MemoryKills memory_kills(const path& root) {
    MemoryKills kills{.on_node = field(text_of_file(root / "proc/vmstat"), "oom_kill").value_or(0)};
    for (const Cgroup& group : own_cgroups("memory", root)) {
        const char* file = group.version == 2 ? "memory.events" : "memory.oom_control";
        // In version 2 the count of a group includes the groups below it.
        kills.in_groups = std::max(kills.in_groups, field(text_of_file(group.folder / file), "oom_kill").value_or(0));
    }
    return kills;
}

std::string memory_kills_text(const MemoryKills& before, const MemoryKills& now,
                              std::optional<std::int64_t> limit_bytes) {
    if (now.in_groups > before.in_groups)
        return limit_bytes ? fmt::format("the cgroup's memory limit is {:.2f} GiB",
                                         double(*limit_bytes) / double(std::int64_t(1) << 30))
                           : "in its cgroup";
    if (now.on_node > before.on_node)
        return fmt::format("the kernel of its node has killed {} process{} for lack of memory since the run started",
                           now.on_node - before.on_node, now.on_node - before.on_node == 1 ? "" : "es");
    return {};
}

}  // namespace gpas
