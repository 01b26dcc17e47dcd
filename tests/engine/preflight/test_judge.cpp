// What `gpas preflight` makes of what ranks have found.
#include "base/host_name.hpp"
#include "engine/preflight/judge.hpp"
#include "engine/preflight/machine.hpp"
#include "engine/preflight/report.hpp"
#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

namespace gpas::preflight {
namespace {

using Strings = std::vector<std::string>;

const Hosts two_nodes{"n1", "n1", "n2", "n2"};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Judge, ranks_are_named_by_ranges_and_hosts) {
    EXPECT_EQ(ranks_text({3}, two_nodes), "rank 3 (n2)");
    EXPECT_EQ(ranks_text({0, 1, 3}, two_nodes), "ranks 0-1, 3 (n1, n2)");
}

TEST(Judge, median_of_odd_and_even_numbers) {
    EXPECT_EQ(median({}), 0.0);
    EXPECT_EQ(median({7.0}), 7.0);
    EXPECT_EQ(median({9.0, 1.0, 5.0}), 5.0);
    EXPECT_EQ(median({9.0, 1.0, 5.0, 3.0}), 4.0);
}

TEST(Judge, the_majority_is_first_and_equals_are_a_tie) {
    const std::vector<Group> groups = vote({"b", "a", "a", "c", "a"});
    ASSERT_EQ(groups.size(), 3U);
    EXPECT_EQ(groups[0].value, "a");
    EXPECT_EQ(groups[0].ranks, (std::vector<int>{1, 2, 4}));
    EXPECT_EQ(groups[1].value, "b");
    EXPECT_FALSE(is_tie(groups));
    EXPECT_TRUE(is_tie(vote({"a", "b"})));
    EXPECT_FALSE(is_tie(vote({"a", "a"})));
}

TEST(Judge, the_minority_is_named_with_what_the_others_have) {
    const Fact fact{.what = "the program", .advice = "do this"};
    EXPECT_TRUE(judge_equal(fact, {"x", "x", "x", "x"}, two_nodes).empty());
    const Findings one = judge_equal(fact, {"x", "x", "y", "x"}, two_nodes);
    ASSERT_EQ(one.size(), 1U);
    EXPECT_EQ(one[0].text, "rank 2 (n2): the program: found y; ranks 0-1, 3 (n1, n2) have x; do this");
    EXPECT_EQ(judge_equal(fact, {"x", "x", "x", "y", "z"}, {"a", "a", "a", "b", "c"}).size(), 2U);
}

TEST(Judge, a_tie_names_both_groups) {
    const Findings tie = judge_equal({.what = "the program", .advice = "do this"}, {"x", "x", "y", "y"}, two_nodes);
    ASSERT_EQ(tie.size(), 1U);
    EXPECT_TRUE(has(tie[0].text, "no value has a majority")) << tie[0].text;
    EXPECT_TRUE(has(tie[0].text, "ranks 0-1 (n1): x")) << tie[0].text;
    EXPECT_TRUE(has(tie[0].text, "ranks 2-3 (n2): y")) << tie[0].text;
}

TEST(Judge, differing_configurations_are_named_by_key) {
    const std::string theirs =
        "name: \"a\"\nmodel:\n  layers: 2\n  gate:\n    init: 0\ntraining:\n  steps: 10\nseed: 1\n";
    const std::string mine =
        "name: \"a\"\nmodel:\n  layers: 2\n  gate:\n    init: 5\ntraining:\n  steps: 20\nseed: 1\n";
    EXPECT_EQ(config_differences(mine, theirs), "model.gate.init is 5, not 0; training.steps is 20, not 10");
}

TEST(Judge, clocks_beyond_a_second_and_the_error_are_wrong) {
    EXPECT_TRUE(judge_clocks({0.0, 0.9, -0.9, 0.0}, {0, 0, 0, 0}, two_nodes).empty());
    EXPECT_TRUE(judge_clocks({0.0, 1.5, 0.0, 0.0}, {0, 0.6, 0, 0}, two_nodes).empty());
    const Findings one = judge_clocks({0.0, 0.0, -5.0, 0.1}, {0, 0, 0.001, 0}, two_nodes);
    ASSERT_EQ(one.size(), 1U);
    EXPECT_TRUE(has(one[0].text, "rank 2 (n2): clock is 5.000 s")) << one[0].text;
    EXPECT_TRUE(has(one[0].text, "behind")) << one[0].text;
}

TEST(Judge, a_wrong_clock_of_rank_0_is_its_own_and_a_node_is_named_once) {
    const Findings found =
        judge_clocks({0.0, 0.0, 7.0, 7.0, 7.0, 7.0}, {0, 0, 0, 0, 0, 0}, {"n1", "n1", "n2", "n2", "n3", "n3"});
    ASSERT_EQ(found.size(), 1U);
    EXPECT_TRUE(has(found[0].text, "ranks 0-1 (n1)")) << found[0].text;
}

TEST(Judge, memory_and_shared_memory_are_compared_with_the_need_of_a_node) {
    const auto rank = [](double needed, double available, double shared) {
        return RankMemory{needed, available, "x", shared, 3};
    };
    const auto judge = [](const std::vector<RankMemory>& ranks) {
        return judge_memory(memory_of_nodes(ranks, two_nodes), two_nodes);
    };
    EXPECT_TRUE(judge({rank(2, 5, 1), rank(3, 5, 2), rank(2, 5, 1), rank(3, 5, 2)}).empty());
    const Findings found = judge({rank(2, 5, 1), rank(3, 5, 1), rank(2, 5, 2), rank(3, 4, 2)});
    ASSERT_EQ(found.size(), 2U);
    EXPECT_TRUE(has(found[0].text, "ranks 2-3 (n2)")) << found[0].text;
    EXPECT_TRUE(has(found[1].text, "/dev/shm")) << found[1].text;
    EXPECT_TRUE(judge_memory(memory_of_nodes({rank(1, 1, 9)}, {"n1"}), {"n1"}).empty());  // alone: no messages
}

TEST(Judge, checkpoints_at_the_same_time) {
    EXPECT_EQ(most_checkpoints({.steps = 100, .every = 10, .keep_last = 3}), 5);
    EXPECT_EQ(most_checkpoints({.steps = 20, .every = 10, .keep_last = 3}), 2);  // there are no more
    EXPECT_EQ(most_checkpoints({.steps = 100, .every = 0, .keep_last = 3}), 1);  // one at the end
    EXPECT_EQ(most_checkpoints({.steps = 95, .every = 10, .keep_last = 0}), 10);
    EXPECT_EQ(most_checkpoints({.steps = 1000, .every = 10, .keep_last = 3, .keep_every = 100}), 15);
}

TEST(Judge, space_that_checkpoints_have_taken_is_not_needed_again) {
    EXPECT_TRUE(judge_space("run", 100, 40, 60).empty());
    EXPECT_EQ(judge_space("run", 100, 40, 59).size(), 1U);
}

TEST(Judge, files_are_missing_on_one_rank_or_on_all) {
    const std::string gone = std::string(unreadable) + "No such file";
    EXPECT_TRUE(judge_file("a.bin", {"5 bytes", "5 bytes"}, {"n1", "n2"}).empty());
    const Findings all = judge_file("a.bin", {gone, gone}, {"n1", "n2"});
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].severity, Severity::bad_file);
    const Findings one = judge_file("a.bin", {"5 bytes", "5 bytes", gone, "5 bytes"}, two_nodes);
    ASSERT_EQ(one.size(), 1U);
    EXPECT_EQ(one[0].severity, Severity::problem);
    EXPECT_TRUE(has(one[0].text, "rank 2 (n2): a.bin: found unreadable")) << one[0].text;
}

TEST(Judge, a_tournament_has_every_pair_once_and_nobody_twice_in_a_round) {
    for (int n = 0; n <= 33; ++n) {
        std::set<std::pair<int, int>> met;
        const std::vector<Round> rounds = tournament(n);
        EXPECT_EQ(rounds.size(), std::size_t(n < 2 ? 0 : n % 2 == 0 ? n - 1 : n)) << n;
        for (const Round& round : rounds) {
            std::set<int> busy;
            for (const auto& [a, b] : round) {
                EXPECT_TRUE(0 <= a && a < b && b < n) << n;
                EXPECT_TRUE(busy.insert(a).second && busy.insert(b).second) << n;
                EXPECT_TRUE(met.insert({a, b}).second) << n;
            }
        }
        EXPECT_EQ(met.size(), std::size_t(n) * std::size_t(std::max(n - 1, 0)) / 2) << n;
    }
}

TEST(Judge, many_ranks_measure_within_nodes_and_between_their_first_ranks) {
    const Hosts hosts{"n1", "n2", "n1", "n2", "n1", "n3"};
    std::set<std::pair<int, int>> met;
    for (const Round& round : link_rounds(hosts, 2)) {
        std::set<int> busy;
        for (const auto& [a, b] : round) {
            EXPECT_TRUE(busy.insert(a).second && busy.insert(b).second);
            met.insert({a, b});
        }
    }
    EXPECT_EQ(met, (std::set<std::pair<int, int>>{{0, 2}, {0, 4}, {2, 4}, {1, 3}, {0, 1}, {0, 5}, {1, 5}}));
    EXPECT_EQ(link_rounds(hosts, 6).size(), 5U);  // few: all pairs
}

std::vector<MeasuredLink> links_of(int n, int slow_a, int slow_b) {
    std::vector<MeasuredLink> links;
    for (const Round& round : tournament(n))
        for (const auto& [a, b] : round) {
            const bool slow = slow_b < 0 ? a == slow_a || b == slow_a : a == slow_a && b == slow_b;
            links.push_back({.a = a, .b = b, .seconds = 1e-6, .bytes_per_second = slow ? 1e9 : 5e9});
        }
    return links;
}

TEST(Judge, a_slow_link_is_named_and_a_slow_rank_once) {
    const Hosts hosts{"n1", "n2", "n3", "n4", "n5"};
    EXPECT_TRUE(judge_links(links_of(5, 9, 9), hosts, 2.0).empty());
    const Findings link = judge_links(links_of(5, 1, 3), hosts, 2.0);
    ASSERT_EQ(link.size(), 1U);
    EXPECT_EQ(link[0].severity, Severity::slow);
    EXPECT_TRUE(has(link[0].text, "rank 1 (n2) to rank 3 (n4): 1 GB/s, links of this kind usually reach 5 GB/s"))
        << link[0].text;
    const Findings rank = judge_links(links_of(5, 3, -1), hosts, 2.0);
    ASSERT_EQ(rank.size(), 1U);
    EXPECT_TRUE(has(rank[0].text, "rank 3 (n4): all 4 links of this rank are slow")) << rank[0].text;
    EXPECT_TRUE(judge_links(links_of(5, 1, 3), hosts, 6.0).empty());
    EXPECT_EQ(judge_links(links_of(3, 2, -1), {"n1", "n2", "n3"}, 2.0).size(), 1U);  // the majority of links is slow
}

TEST(Judge, links_between_nodes_are_not_held_against_those_within) {
    const Hosts hosts{"n1", "n1", "n1", "n2"};
    std::vector<MeasuredLink> links;
    for (const Round& round : tournament(4))
        for (const auto& [a, b] : round) {
            const bool within = hosts[std::size_t(a)] == hosts[std::size_t(b)];
            links.push_back({.a = a, .b = b, .seconds = within ? 1e-6 : 1e-3, .bytes_per_second = within ? 1e10 : 1e9});
        }
    EXPECT_TRUE(judge_links(links, hosts, 2.0).empty());
}

TEST(Judge, a_rank_below_four_fifths_of_the_median_is_slow) {
    EXPECT_TRUE(judge_products({100, 101, 99, 81}, two_nodes).empty());
    const Findings found = judge_products({100, 101, 99, 70}, two_nodes);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_TRUE(has(found[0].text, "rank 3 (n2)")) << found[0].text;
}

TEST(Judge, ranks_that_take_long_are_named_together) {
    EXPECT_TRUE(judge_times("x", {1, 1, 1.9, 1}, two_nodes, 2.0).empty());
    const Findings found = judge_times("x", {1, 1, 1, 3}, two_nodes, 2.0);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_TRUE(has(found[0].text, "rank 3 (n2): x: ")) << found[0].text;
}

TEST(Report, what_is_slow_is_a_problem_only_where_that_is_asked_for) {
    Report report;
    report.add("a", "fine");
    report.add("b", "late", {{Severity::slow, "rank 1"}});
    EXPECT_EQ(report.problems(false), 0);
    EXPECT_EQ(report.problems(true), 1);
    EXPECT_TRUE(has(report.text(false), "gpas: preflight: slow: rank 1\n"));
    EXPECT_TRUE(has(report.text(true), "gpas: preflight: rank 1\n"));
    report.add("c", "gone", {{Severity::bad_file, "file"}});
    EXPECT_TRUE(report.only_bad_files(false));
    report.add("d", "bad", {{Severity::problem, "disk"}});
    EXPECT_FALSE(report.only_bad_files(false));
    EXPECT_EQ(report.problems(false), 2);
}

TEST(Machine, instructions_are_named_by_level) {
    EXPECT_EQ(vector_instructions("model name\t: x\nflags\t\t: fpu sse4_2 popcnt\n"), "x86-64-v2");
    EXPECT_EQ(vector_instructions("flags : sse4_2 popcnt avx2 fma bmi2 f16c movbe"), "x86-64-v3");
    EXPECT_EQ(vector_instructions("flags : avx2 fma avx512f avx512bw avx512cd avx512dq avx512vl avx512_bf16"),
              "x86-64-v4 avx512_bf16");
}

void write(const std::filesystem::path& path, const std::string& text) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
}

TEST(Machine, the_lowest_limit_of_the_cgroups_counts) {
    const test_support::ScratchDirectory scratch;
    const std::filesystem::path& root = scratch.get();
    write(root / "proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:   8000 kB\n");
    EXPECT_EQ(available_memory(root).bytes, 8000 * 1024);

    write(root / "proc/self/cgroup", "0::/job/step\n");
    write(root / "sys/fs/cgroup/job/memory.max", "4000000\n");
    write(root / "sys/fs/cgroup/job/memory.current", "1500000\n");
    write(root / "sys/fs/cgroup/job/memory.stat", "anon 1\ninactive_file 500000\n");
    write(root / "sys/fs/cgroup/job/step/memory.max", "max\n");
    write(root / "sys/fs/cgroup/job/step/memory.current", "10\n");
    EXPECT_EQ(available_memory(root).bytes, 3000000);

    write(root / "proc/self/cgroup", "9:cpu:/\n4:memory:/other\n0::/\n");
    EXPECT_EQ(available_memory(root).bytes, 8000 * 1024);
    write(root / "sys/fs/cgroup/memory/other/memory.limit_in_bytes", "2000000\n");
    write(root / "sys/fs/cgroup/memory/other/memory.usage_in_bytes", "1500000\n");
    EXPECT_EQ(available_memory(root).bytes, 500000);
}

TEST(Machine, this_one_has_a_program_and_memory) {
    EXPECT_EQ(program_hash().size(), 16U);
    EXPECT_GT(available_memory().bytes, 0);
    EXPECT_GE(free_bytes("/"), 0);
    EXPECT_FALSE(host_name().empty());
}

}  // namespace
}  // namespace gpas::preflight
