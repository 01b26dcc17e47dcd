#include "base/error.hpp"
#include "base/host_name.hpp"
#include "parallel/nccl/nccl_ability.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>

namespace gpas {

std::int64_t host_identity() {
    if (const char* given = std::getenv("NCCL_HOSTID"); given != nullptr && *given != '\0')
        return std::int64_t(std::hash<std::string>()(given));
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string boot;
    std::getline(file, boot);
    return std::int64_t(std::hash<std::string>()(host_name() + boot));
}

std::int64_t parse_bus_id(const std::string& text) {
    unsigned domain = 0, bus = 0, device = 0, function = 0;
    const int found = std::sscanf(text.c_str(), "%x:%x:%x.%x", &domain, &bus, &device, &function);
    require(found == 4, "a PCI bus id is {}", text);
    return (std::int64_t(domain) << 16) | (bus << 8) | (device << 3) | function;
}

std::string bus_id_text(std::int64_t bus) {
    return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", bus >> 16, bus >> 8 & 0xff, bus >> 3 & 0x1f, bus & 7);
}

std::vector<GpuAddress> gather_addresses(Communicator& world, GpuAddress mine) {
    std::vector<std::int64_t> words(2 * std::size_t(world.size()), 0);
    words[2 * std::size_t(world.rank())] = mine.host;
    words[2 * std::size_t(world.rank()) + 1] = mine.bus;
    world.all_reduce(words.data(), std::int64_t(words.size()), ReduceOp::sum, "addresses of GPUs");
    std::vector<GpuAddress> addresses;
    for (std::size_t i = 0; i < words.size(); i += 2) addresses.push_back({words[i], words[i + 1]});
    return addresses;
}

std::optional<std::pair<int, int>> ranks_that_share(const std::vector<GpuAddress>& ranks) {
    std::map<GpuAddress, int> owner;
    for (int rank = 0; rank < int(ranks.size()); ++rank) {
        const auto [other, added] = owner.try_emplace(ranks[std::size_t(rank)], rank);
        if (!added) return std::pair(other->second, rank);
    }
    return std::nullopt;
}

}  // namespace gpas
