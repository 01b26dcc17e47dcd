// Chooses which of a machine's GPUs a rank uses.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace gpas {

// gpu_nodes: NUMA node of each GPU that the rank sees. rank_nodes: NUMA node that the launcher has bound each rank of
// the machine to, in rank order. -1: unknown, or not bound to one node. rank: index of this rank in rank_nodes. Returns
// the index of a GPU on the rank's own NUMA node if every rank and GPU has a known node and no GPU would be shared by
// more ranks than an even distribution needs; otherwise `rank` modulo the number of GPUs. Pure.
int choose_gpu(const std::vector<int>& gpu_nodes, const std::vector<int>& rank_nodes, int rank);

// From the kernel's files under `root`: the NUMA node of a PCI device (bus id in lower case, "0000:1b:00.0"), and the
// NUMA node that has all these CPUs. -1: unknown, the machine has one node only, or no node has all the CPUs.
int numa_node_of_device(const std::string& bus_id, const std::filesystem::path& root = "/");
int numa_node_of_cpus(const std::set<int>& cpus, const std::filesystem::path& root = "/");

}  // namespace gpas
