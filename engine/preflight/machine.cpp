#include "engine/preflight/machine.hpp"

#include "base/bytes_text.hpp"
#include "base/cgroup.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"

#include <fmt/ranges.h>
#include <mpi.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <vector>

namespace gpas::preflight {
namespace {

std::string text_of_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The value in the line "name  : value" or "name value"; empty if there is no such line.
std::string field(const std::string& text, const std::string& name) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(name)) continue;
        const std::size_t begin = line.find_first_not_of(" \t:", name.size());
        if (begin == name.size() || begin == std::string::npos) continue;
        return line.substr(begin);
    }
    return {};
}

std::optional<std::int64_t> number(const std::string& text) {
    char* end = nullptr;
    errno = 0;
    const long long value = std::strtoll(text.c_str(), &end, 10);
    if (end == text.c_str() || errno != 0) return std::nullopt;
    return value;
}

// The names of a cgroup version's memory files, and of the field with the file cache.
struct CgroupFiles {
    const char* limit;
    const char* used;
    const char* cache;  // field of memory.stat
};
constexpr CgroupFiles version_1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
constexpr CgroupFiles version_2{"memory.max", "memory.current", "inactive_file"};

}  // namespace

std::string program_hash() {
    std::ifstream file("/proc/self/exe", std::ios::binary);
    StreamingHash hash;
    std::vector<char> block(std::size_t(1) << 20);
    while (file.read(block.data(), std::streamsize(block.size())) || file.gcount() > 0)
        hash.add(block.data(), std::size_t(file.gcount()));
    if (!file.eof()) return "unreadable";
    return fmt::format("{:016x}", hash.value());
}

std::string mpi_version() {
    std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
    int length = 0;
    MPI_Get_library_version(text.data(), &length);
    std::string version(text.data(), std::size_t(std::max(length, 0)));
    std::replace(version.begin(), version.end(), '\n', ' ');
    return version.substr(0, version.find(", package"));  // without the description of the build
}

std::string cpu_model() {
    const std::string model = field(text_of_file("/proc/cpuinfo"), "model name");
    return model.empty() ? "unknown" : model;
}

std::string vector_instructions() { return vector_instructions(text_of_file("/proc/cpuinfo")); }

std::string vector_instructions(const std::string& cpuinfo) {
    std::istringstream words(field(cpuinfo, "flags"));
    std::set<std::string> flags;
    for (std::string word; words >> word;) flags.insert(word);
    const auto has = [&](std::initializer_list<const char*> all) {
        return std::all_of(all.begin(), all.end(), [&](const char* flag) { return flags.contains(flag); });
    };
    if (flags.empty()) return "unknown";  // not x86
    std::vector<std::string> names;
    if (has({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx2"}))
        names.emplace_back("x86-64-v4");
    else if (has({"avx2", "fma", "bmi2", "f16c", "movbe"}))
        names.emplace_back("x86-64-v3");
    else
        names.emplace_back(has({"sse4_2", "popcnt"}) ? "x86-64-v2" : "x86-64");
    for (const char* more : {"avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16"})
        if (flags.contains(more)) names.emplace_back(more);
    return fmt::format("{}", fmt::join(names, " "));
}

std::string gpu_driver() {
    const std::string text = text_of_file("/proc/driver/nvidia/version");
    return text.substr(0, text.find('\n'));
}

AvailableMemory available_memory(const std::filesystem::path& root) {
    const std::string meminfo = text_of_file(root / "proc/meminfo");
    AvailableMemory available{number(field(meminfo, "MemAvailable")).value_or(0) * 1024,
                              "MemAvailable in /proc/meminfo"};
    // A cgroup's limit holds for all groups inside it, so the limits of all ancestors are checked.
    for (const Cgroup& group : own_cgroups("memory", root)) {
        const CgroupFiles& files = group.version == 2 ? version_2 : version_1;
        const auto limit = number(text_of_file(group.folder / files.limit));  // nothing for "max": no limit
        const auto used = number(text_of_file(group.folder / files.used));
        if (!limit || !used) continue;
        const auto cache = number(field(text_of_file(group.folder / "memory.stat"), files.cache));
        const std::int64_t left = std::max<std::int64_t>(0, *limit - *used + cache.value_or(0));
        if (left < available.bytes)
            available = {left, fmt::format("the cgroup's limit is {}", bytes_text(double(*limit)))};
    }
    return available;
}

std::int64_t free_bytes(const std::filesystem::path& path) {
    struct statvfs space{};
    std::filesystem::path place = path;
    while (statvfs(place.c_str(), &space) != 0) {
        if (errno != ENOENT || place == place.parent_path())
            fail(ExitCode::environment, "{}: cannot read the free space of this file system: {}", path.string(),
                 std::strerror(errno));
        place = place.parent_path();  // another rank may have just removed a directory of its own test
    }
    return std::int64_t(space.f_bavail) * std::int64_t(space.f_frsize);
}

}  // namespace gpas::preflight
