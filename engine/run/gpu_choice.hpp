// Which of a machine's GPUs a rank takes.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace gpas {

// gpu_nodes: the NUMA node of each GPU that the rank sees; rank_nodes: the NUMA node that the launcher has bound each
// rank of the machine to, in order; -1: unknown, or not bound to one. `rank`: this one's place among them. Returns the
// GPU's number: of its own node's GPUs, if all ranks and GPUs have a node and no rank would share a GPU that it need
// not share; else GPU `rank`, modulo their number. Pure.
int choose_gpu(const std::vector<int>& gpu_nodes, const std::vector<int>& rank_nodes, int rank);

// As the kernel tells it under `root`: the NUMA node of a PCI device (its bus id in lower case, "0000:1b:00.0"), and
// the one that has all these CPUs, on a machine with several. -1: unknown, or there is none.
int numa_node_of_device(const std::string& bus_id, const std::filesystem::path& root = "/");
int numa_node_of_cpus(const std::set<int>& cpus, const std::filesystem::path& root = "/");

}  // namespace gpas
