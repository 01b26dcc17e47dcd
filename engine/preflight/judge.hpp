// Turns the facts gathered from all ranks (one entry per rank) into findings. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gpas::preflight {

enum class Severity {
    problem,   // the run would fail or compute wrong results: exit code 5
    bad_file,  // no rank can read a data file: exit code 3
    slow,      // the run would be slower than necessary: a warning, or with --strict a problem
};

// text: one line with rank and host, what was found, what the other ranks have, and advice.
struct Finding {
    Severity severity = Severity::problem;
    std::string text;
};
using Findings = std::vector<Finding>;
using Hosts = std::vector<std::string>;  // host name per rank

std::vector<std::string> nodes_of(const Hosts& hosts);  // distinct hosts, in the order of their first ranks
std::vector<int> ranks_of(const Hosts& hosts, const std::string& host);  // ranks on a host, ascending
// "rank 3 (n2)", "ranks 0-3, 7 (n1, n2)"
std::string ranks_text(const std::vector<int>& ranks, const Hosts& hosts);

double median(std::vector<double> values);  // even number of values: mean of the two in the middle; no values: 0

// The ranks with equal values.
struct Group {
    std::string value;
    std::vector<int> ranks;
};
// The groups of ranks with equal values; the largest first, groups of equal size by their first rank.
std::vector<Group> vote(const std::vector<std::string>& values);
// True if no group is larger than all others.
bool is_tie(const std::vector<Group>& groups);

// Something that should be equal on all ranks.
struct Fact {
    Severity severity = Severity::problem;  // of a difference
    std::string what;                       // "the gpas binary"
    std::string advice;
};
// One finding per minority; in a tie one finding that names the groups.
Findings judge_equal(const Fact& fact, const std::vector<std::string>& values, const Hosts& hosts);

// The first few keys in which two dump_config() texts differ: "training.steps is 20, not 10; seed is 7, not 1".
std::string config_differences(const std::string& mine, const std::string& theirs);

// Clocks that differ from the median of all clocks by more than most_clock_seconds + the error bound. (Rank 0's clock
// may be the wrong one.) offsets, bounds: as in Clocks, seconds.
Findings judge_clocks(const std::vector<double>& offsets, const std::vector<double>& bounds, const Hosts& hosts);
constexpr double most_clock_seconds = 1.0;

struct RankMemory {
    double needed_bytes = 0.0;
    double available_bytes = 0.0;
    std::string limit;                 // what limits available_bytes, for a message
    double shared_needed_bytes = 0.0;  // in /dev/shm; 0 on a node with one rank
    double shared_free_bytes = 0.0;    // in /dev/shm
};
struct NodeMemory : RankMemory {
    std::vector<int> ranks;
};
// Per node: the sum of what its ranks need, and the smallest available_bytes of its ranks, which they share.
std::vector<NodeMemory> memory_of_nodes(const std::vector<RankMemory>& ranks, const Hosts& hosts);
// Nodes that need more host memory, or more of /dev/shm, than is available.
Findings judge_memory(const std::vector<NodeMemory>& nodes, const Hosts& hosts);

struct CheckpointRule {
    std::int64_t steps = 0;
    std::int64_t every = 0;
    std::int64_t keep_last = 0;  // 0: all
    std::int64_t keep_every = 0;
};
// The largest number of checkpoints that the directory holds at the same time.
std::int64_t most_checkpoints(const CheckpointRule& rule);
// One finding if the checkpoints of a run do not fit. needed_bytes: of all of them; there_bytes: of checkpoints already
// in the directory; free_bytes: of its file system.
Findings judge_space(const std::string& directory, double needed_bytes, double there_bytes, double free_bytes);

// A file that all ranks read. states: per rank "4096 bytes", or `unreadable` + reason; all should be equal.
constexpr const char* unreadable = "unreadable: ";
Findings judge_file(const std::string& path, const std::vector<std::string>& states, const Hosts& hosts);

// A round-robin tournament: every two of n players meet once, a player meets at most one other per round, in the fewest
// rounds.
using Round = std::vector<std::pair<int, int>>;
std::vector<Round> tournament(int n);

// The pairs of ranks that measure their links, in rounds; pairs of one round measure at the same time. Up to `few`
// ranks: all pairs. More ranks: the pairs within each node, and the pairs of the nodes' first ranks.
constexpr int few_ranks = 16;
std::vector<Round> link_rounds(const Hosts& hosts, int few = few_ranks);

struct MeasuredLink {
    int a = 0;
    int b = 0;
    double seconds = 0.0;           // latency of a small message
    double bytes_per_second = 0.0;  // of a large message
};
// Links that are slower than the median by slow_factor. Links within nodes and links between nodes have separate
// medians; of up to 3 links the best replaces the median. If all links of a rank are slow, one finding names the rank.
Findings judge_links(const std::vector<MeasuredLink>& links, const Hosts& hosts, double slow_factor);

// Ranks that took longer than the median by slow_factor. seconds: per rank, for the same work.
Findings judge_times(const std::string& what, const std::vector<double>& seconds, const Hosts& hosts,
                     double slow_factor);

// Ranks whose rate of matrix products is below least_share_of_median of the median. flops: per rank, per second.
constexpr double least_share_of_median = 0.8;
Findings judge_products(const std::vector<double>& flops, const Hosts& hosts);

std::string rate_text(double bytes_per_second);  // "1.50 GB/s"
std::string seconds_text(double seconds);        // "12.3 us"

}  // namespace gpas::preflight
