// Which of a machine's GPUs a rank takes.
#include "engine/run/gpu_choice.hpp"
#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>

#include <fstream>

namespace gpas {
namespace {

std::vector<int> choices(const std::vector<int>& gpu_nodes, const std::vector<int>& rank_nodes) {
    std::vector<int> chosen;
    for (int rank = 0; rank < int(rank_nodes.size()); ++rank) chosen.push_back(choose_gpu(gpu_nodes, rank_nodes, rank));
    return chosen;
}

TEST(GpuChoice, is_a_gpu_of_the_node_that_the_rank_is_bound_to) {
    EXPECT_EQ(choices({1, 1, 0, 0}, {0, 0, 1, 1}), (std::vector<int>{2, 3, 0, 1}));
    EXPECT_EQ(choices({0, 1, 0, 1}, {0, 0, 1, 1}), (std::vector<int>{0, 2, 1, 3}));
    EXPECT_EQ(choices({1, 0}, {0, 1}), (std::vector<int>{1, 0}));
    EXPECT_EQ(choices({1, 0}, {0, 0, 1, 1}), (std::vector<int>{1, 1, 0, 0}));  // two a GPU, as they must
    EXPECT_EQ(choices({1, 1, 0, 0}, {1}), (std::vector<int>{0}));
}

TEST(GpuChoice, is_the_ranks_place_if_nodes_do_not_say) {
    EXPECT_EQ(choices({1, 1, 0, 0}, {0, -1, 1, 1}), (std::vector<int>{0, 1, 2, 3}));  // one is not bound
    EXPECT_EQ(choices({-1, -1}, {0, 1}), (std::vector<int>{0, 1}));
    EXPECT_EQ(choices({-1}, {-1, -1}), (std::vector<int>{0, 0}));
    // Three ranks of node 0 would share its two GPUs while one of node 1 is idle.
    EXPECT_EQ(choices({1, 1, 0, 0}, {0, 0, 0, 1}), (std::vector<int>{0, 1, 2, 3}));
    EXPECT_EQ(choices({0, 0}, {0, 2}), (std::vector<int>{0, 1}));  // node 2 has no GPU
}

class Kernel : public testing::Test {
protected:
    void write(const std::string& file, const std::string& text) const {
        const std::filesystem::path path = root() / file;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << text << '\n';
    }
    std::filesystem::path root() const { return directory_ / ""; }
    test_support::ScratchDirectory directory_;
};

TEST_F(Kernel, tells_the_node_of_a_device) {
    write("sys/bus/pci/devices/0000:1b:00.0/numa_node", "1");
    write("sys/bus/pci/devices/0000:1c:00.0/numa_node", "-1");
    EXPECT_EQ(numa_node_of_device("0000:1b:00.0", root()), 1);
    EXPECT_EQ(numa_node_of_device("0000:1c:00.0", root()), -1);
    EXPECT_EQ(numa_node_of_device("0000:1d:00.0", root()), -1);
}

TEST_F(Kernel, tells_the_node_of_a_ranks_cpus) {
    write("sys/devices/system/node/node0/cpulist", "0-3,8,10-11");
    EXPECT_EQ(numa_node_of_cpus({1, 2}, root()), -1);  // one node is no choice
    write("sys/devices/system/node/node1/cpulist", "4-7,9");
    write("sys/devices/system/node/power/cpulist", "0-11");
    EXPECT_EQ(numa_node_of_cpus({1, 8, 11}, root()), 0);
    EXPECT_EQ(numa_node_of_cpus({9}, root()), 1);
    EXPECT_EQ(numa_node_of_cpus({3, 4}, root()), -1);
    EXPECT_EQ(numa_node_of_cpus({}, root()), -1);
    EXPECT_EQ(numa_node_of_cpus({1}, root() / "nowhere"), -1);
}

}  // namespace
}  // namespace gpas
