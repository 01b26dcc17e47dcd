#include "engine/run/gpu_choice.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace gpas {
namespace {

// The CPUs of a list such as "0-3,8,10-11".
std::set<int> parse_cpu_list(const std::string& text) {
    std::set<int> cpus;
    std::istringstream list(text);
    for (std::string part; std::getline(list, part, ',');) {
        std::istringstream range(part);
        int first = 0, last = 0;
        char dash = 0;
        if (!(range >> first)) continue;
        if (!(range >> dash >> last)) last = first;
        for (int cpu = first; cpu <= last; ++cpu) cpus.insert(cpu);
    }
    return cpus;
}

int first_number(const std::filesystem::path& file, int otherwise) {
    std::ifstream text(file);
    int number = otherwise;
    return text >> number ? number : otherwise;
}

bool known(int node) { return node >= 0; }

}  // namespace

int choose_gpu(const std::vector<int>& gpu_nodes, const std::vector<int>& rank_nodes, int rank) {
    const int gpus = int(gpu_nodes.size()), ranks = int(rank_nodes.size());
    const int by_place = rank % gpus;
    if (!std::ranges::all_of(gpu_nodes, known) || !std::ranges::all_of(rank_nodes, known)) return by_place;
    const int most = (ranks + gpus - 1) / gpus;  // ranks per GPU in an even distribution
    for (const int node : rank_nodes)
        if (std::ranges::count(rank_nodes, node) > most * std::ranges::count(gpu_nodes, node)) return by_place;
    const int node = rank_nodes[std::size_t(rank)];
    std::vector<int> near;
    for (int gpu = 0; gpu < gpus; ++gpu)
        if (gpu_nodes[std::size_t(gpu)] == node) near.push_back(gpu);
    const auto before = std::count(rank_nodes.begin(), rank_nodes.begin() + rank, node);
    return near[std::size_t(before) % near.size()];
}

int numa_node_of_device(const std::string& bus_id, const std::filesystem::path& root) {
    return first_number(root / "sys/bus/pci/devices" / bus_id / "numa_node", -1);
}

int numa_node_of_cpus(const std::set<int>& cpus, const std::filesystem::path& root) {
    int nodes = 0, found = -1;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(root / "sys/devices/system/node", error)) {
        const std::string name = entry.path().filename();
        if (!name.starts_with("node") || name.find_first_not_of("0123456789", 4) != name.npos || name.size() == 4)
            continue;
        ++nodes;
        std::ifstream file(entry.path() / "cpulist");
        std::string list;
        std::getline(file, list);
        const std::set<int> of_node = parse_cpu_list(list);
        if (!cpus.empty() && std::ranges::includes(of_node, cpus)) found = std::stoi(name.substr(4));
    }
    return nodes > 1 ? found : -1;
}

}  // namespace gpas
