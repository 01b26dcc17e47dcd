// From what the ranks found to what is wrong: pure functions over gathered facts, one entry for each rank.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gpas::preflight {

enum class Severity {
    problem,   // the run would fail, or compute something else: exit code 5
    bad_file,  // a data file that no rank can read: exit code 3
    slow,      // the run would be slower than it need be: a warning, unless --strict
};

// One line: which rank on which host, what was found, what the others have, what to do.
struct Finding {
    Severity severity = Severity::problem;
    std::string text;
};
using Findings = std::vector<Finding>;
using Hosts = std::vector<std::string>;  // of each rank

std::vector<std::string> nodes_of(const Hosts& hosts);  // distinct, in the order of their first ranks
std::vector<int> ranks_of(const Hosts& hosts, const std::string& host);
// "rank 3 (n2)", "ranks 0-3, 7 (n1, n2)"
std::string ranks_text(const std::vector<int>& ranks, const Hosts& hosts);

double median(std::vector<double> values);  // 0 of none; of an even number the mean of the two in the middle

// The ranks that have the same.
struct Group {
    std::string value;
    std::vector<int> ranks;
};
// Largest first, equal ones by their first rank.
std::vector<Group> vote(const std::vector<std::string>& values);
// No group is larger than all others.
bool is_tie(const std::vector<Group>& groups);

// What should be the same everywhere.
struct Fact {
    Severity severity = Severity::problem;  // of a difference
    std::string what;                       // "the gpas binary"
    std::string advice;
};
// A line for each minority, or one that names the groups of a tie.
Findings judge_equal(const Fact& fact, const std::vector<std::string>& values, const Hosts& hosts);

// "training.steps is 20, not 10; seed is 7, not 1": how one dump_config() differs from another, the first few keys.
std::string config_differences(const std::string& mine, const std::string& theirs);

// offsets: seconds of each clock ahead of rank 0's, with the error bound of each. Held against the median, since rank 0
// may be the one that is wrong.
Findings judge_clocks(const std::vector<double>& offsets, const std::vector<double>& bounds, const Hosts& hosts);
constexpr double most_clock_seconds = 1.0;

struct RankMemory {
    double needed_bytes = 0.0;
    double available_bytes = 0.0;
    std::string limit;                 // what sets that
    double shared_needed_bytes = 0.0;  // of /dev/shm, where a node has other ranks
    double shared_free_bytes = 0.0;
};
struct NodeMemory : RankMemory {
    std::vector<int> ranks;
};
// What the ranks of a node need together; they share what is available to the one that has least.
std::vector<NodeMemory> memory_of_nodes(const std::vector<RankMemory>& ranks, const Hosts& hosts);
Findings judge_memory(const std::vector<NodeMemory>& nodes, const Hosts& hosts);

// Checkpoints that lie there at the same time at most.
struct CheckpointRule {
    std::int64_t steps = 0;
    std::int64_t every = 0;
    std::int64_t keep_last = 0;  // 0: all
    std::int64_t keep_every = 0;
};
std::int64_t most_checkpoints(const CheckpointRule& rule);
Findings judge_space(const std::string& directory, double needed_bytes, double there_bytes, double free_bytes);

// Files that all ranks read. states: "4096 bytes", or readable_not and why; the same on every rank where all is well.
constexpr const char* unreadable = "unreadable: ";
Findings judge_file(const std::string& path, const std::vector<std::string>& states, const Hosts& hosts);

// Every two of n players meet once, none twice in a round, in the fewest rounds.
using Round = std::vector<std::pair<int, int>>;
std::vector<Round> tournament(int n);

// Which ranks measure their link at the same time: all pairs of ranks where there are few, else the pairs within each
// node and those of the first ranks of nodes.
constexpr int few_ranks = 16;
std::vector<Round> link_rounds(const Hosts& hosts, int few = few_ranks);

struct MeasuredLink {
    int a = 0;
    int b = 0;
    double seconds = 0.0;           // a small message takes
    double bytes_per_second = 0.0;  // of a large one
};
// Links within nodes and between nodes have medians of their own. A rank all of whose links are slow is named once.
Findings judge_links(const std::vector<MeasuredLink>& links, const Hosts& hosts, double slow_factor);

// Seconds that ranks took for the same.
Findings judge_times(const std::string& what, const std::vector<double>& seconds, const Hosts& hosts,
                     double slow_factor);

constexpr double least_share_of_median = 0.8;
Findings judge_products(const std::vector<double>& flops, const Hosts& hosts);

std::string rate_text(double bytes_per_second);  // "1.50 GB/s"
std::string seconds_text(double seconds);        // "12.3 us"

}  // namespace gpas::preflight
