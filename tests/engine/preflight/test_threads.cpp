// How many threads ranks take on nodes of all kinds: the affinity masks and quotas are given, not those of this machine.
#include "engine/run/threads.hpp"

#include <gtest/gtest.h>

namespace gpas {
namespace {

RankCpus on_cpus(int first, int last, std::vector<CpuQuota> quotas = {}, std::string group = "/job/step") {
    RankCpus rank{.quotas = std::move(quotas), .group = std::move(group)};
    for (int cpu = first; cpu <= last; ++cpu) rank.cpus.insert(cpu);
    return rank;
}

int threads_of(const std::vector<RankCpus>& node, std::size_t mine = 0) {
    return choose_threads(0, node, mine).threads;
}

TEST(Threads, ranks_that_may_run_on_the_same_cpus_share_them) {
    EXPECT_EQ(threads_of({on_cpus(0, 7)}), 8);
    EXPECT_EQ(threads_of({on_cpus(0, 7), on_cpus(0, 7)}), 4);
    // A job's cpuset of two CPUs on a node of eight.
    EXPECT_EQ(threads_of({on_cpus(2, 3), on_cpus(2, 3)}), 1);
    EXPECT_EQ(threads_of(std::vector<RankCpus>(4, on_cpus(0, 1))), 1);
}

TEST(Threads, ranks_that_are_bound_keep_their_own_cpus) {
    const std::vector<RankCpus> node{on_cpus(0, 3), on_cpus(4, 7), on_cpus(4, 7)};
    EXPECT_EQ(threads_of(node, 0), 4);
    EXPECT_EQ(threads_of(node, 1), 2);
    EXPECT_EQ(threads_of({on_cpus(0, 5), on_cpus(4, 7)}, 0), 5);  // 4 + 2 halves
}

TEST(Threads, a_quota_is_shared_by_the_ranks_of_its_group) {
    const std::vector<CpuQuota> quota{{.path = "/job", .cpus = 4.0}};
    EXPECT_EQ(threads_of({on_cpus(0, 63, quota), on_cpus(0, 63, quota)}), 2);
    EXPECT_EQ(threads_of({on_cpus(0, 63, {{"/job/step", 1.5}}, "/job/step")}), 1);
    EXPECT_EQ(threads_of({on_cpus(0, 63, {{"/job/step", 0.5}}, "/job/step")}), 1);
    // Each rank in a group of its own.
    EXPECT_EQ(threads_of({on_cpus(0, 63, {{"/job/a", 8.0}}, "/job/a"), on_cpus(0, 63, {{"/job/b", 8.0}}, "/job/b")}),
              8);
    // A group outside the job's: both are within the root's.
    EXPECT_EQ(threads_of({on_cpus(0, 63, {{"/", 6.0}}, "/a"), on_cpus(0, 63, {{"/", 6.0}}, "/b")}), 3);
    const ThreadChoice choice = choose_threads(0, {on_cpus(0, 63, quota), on_cpus(0, 63, quota)}, 1);
    EXPECT_EQ(choice.note, "2 threads per rank: 4 CPUs usable on the node (CPU quota of cgroup /job), 2 ranks on them");
    EXPECT_EQ(choice.warning, "");
}

TEST(Threads, more_threads_than_cpus_are_warned_about) {
    const std::vector<RankCpus> node{on_cpus(0, 1)};
    EXPECT_EQ(choose_threads(2, node, 0).warning, "");
    const ThreadChoice four = choose_threads(4, node, 0);
    EXPECT_EQ(four.threads, 4);
    EXPECT_NE(four.warning.find("4 threads share 2 CPUs"), std::string::npos) << four.warning;
    EXPECT_NE(four.warning.find("compute.threads=2"), std::string::npos) << four.warning;
    const std::string ranks = choose_threads(0, std::vector<RankCpus>(3, on_cpus(0, 1)), 0).warning;
    EXPECT_NE(ranks.find("3 threads share 2 CPUs"), std::string::npos) << ranks;
    EXPECT_NE(ranks.find("start fewer ranks per node"), std::string::npos) << ranks;
}

}  // namespace
}  // namespace gpas
