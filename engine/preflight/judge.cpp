#include "engine/preflight/judge.hpp"

#include "base/bytes_text.hpp"
#include "base/ranks_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>

namespace gpas::preflight {
namespace {

// Most items that a text lists:
constexpr std::size_t most_named = 8;   // ranges of ranks; hosts
constexpr std::size_t most_keys = 3;    // keys that differ between configurations
constexpr std::size_t most_groups = 4;  // groups of a tie

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (std::size_t i = 0; i < std::min(words.size(), most_named); ++i) text += (i > 0 ? ", " : "") + words[i];
    return words.size() > most_named ? text + ", ..." : text;
}

// The keys and values of a configuration dump, with the full name of each key: {"training.steps", "10"}.
std::vector<std::pair<std::string, std::string>> keys_of(const std::string& dump) {
    std::vector<std::pair<std::string, std::string>> keys;
    std::vector<std::string> sections;
    std::istringstream lines(dump);
    for (std::string line; std::getline(lines, line);) {
        const std::size_t begin = std::min(line.find_first_not_of(' '), line.size());
        const std::size_t colon = line.find(':', begin);
        if (colon == std::string::npos) continue;
        sections.resize(std::min(sections.size(), begin / 2));
        std::string name;
        for (const std::string& section : sections) name += section + ".";
        name += line.substr(begin, colon - begin);
        if (colon + 1 == line.size())
            sections.push_back(line.substr(begin, colon - begin));
        else
            keys.emplace_back(name, line.substr(colon + 2));
    }
    return keys;
}

}  // namespace

std::vector<int> ranks_of(const Hosts& hosts, const std::string& host) {
    std::vector<int> ranks;
    for (int rank = 0; rank < int(hosts.size()); ++rank)
        if (hosts[std::size_t(rank)] == host) ranks.push_back(rank);
    return ranks;
}

std::vector<std::string> nodes_of(const Hosts& hosts) {
    std::vector<std::string> nodes;
    for (const std::string& host : hosts)
        if (std::find(nodes.begin(), nodes.end(), host) == nodes.end()) nodes.push_back(host);
    return nodes;
}

std::string ranks_text(const std::vector<int>& ranks, const Hosts& hosts) {
    Hosts named;
    for (const int rank : ranks) named.push_back(hosts[std::size_t(rank)]);
    return fmt::format("{} ({})", gpas::ranks_text(ranks), joined(nodes_of(named)));
}

double median(std::vector<double> values) {
    if (values.empty()) return 0.0;
    std::sort(values.begin(), values.end());
    const std::size_t middle = values.size() / 2;
    return values.size() % 2 == 1 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
}

std::vector<Group> vote(const std::vector<std::string>& values) {
    std::vector<Group> groups;
    for (int rank = 0; rank < int(values.size()); ++rank) {
        const std::string& value = values[std::size_t(rank)];
        auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& g) { return g.value == value; });
        if (group == groups.end()) group = groups.insert(groups.end(), {.value = value, .ranks = {}});
        group->ranks.push_back(rank);
    }
    std::stable_sort(groups.begin(), groups.end(),
                     [](const Group& a, const Group& b) { return a.ranks.size() > b.ranks.size(); });
    return groups;
}

bool is_tie(const std::vector<Group>& groups) {
    return groups.size() > 1 && groups[0].ranks.size() == groups[1].ranks.size();
}

Findings judge_equal(const Fact& fact, const std::vector<std::string>& values, const Hosts& hosts) {
    const std::vector<Group> groups = vote(values);
    if (groups.size() < 2) return {};
    if (is_tie(groups)) {
        std::string text;
        for (std::size_t i = 0; i < std::min(groups.size(), most_groups); ++i)
            text += fmt::format("{}{}: {}", i > 0 ? "; " : "", ranks_text(groups[i].ranks, hosts), groups[i].value);
        return {{fact.severity, fmt::format("{} differs between ranks, and no value has a majority: {}{}; {}",
                                            fact.what, text, groups.size() > most_groups ? "; ..." : "", fact.advice)}};
    }
    Findings findings;
    for (std::size_t i = 1; i < groups.size(); ++i)
        findings.push_back(
            {fact.severity,
             fmt::format("{}: {}: found {}; {} have {}; {}", ranks_text(groups[i].ranks, hosts), fact.what,
                         groups[i].value, ranks_text(groups[0].ranks, hosts), groups[0].value, fact.advice)});
    return findings;
}

std::string config_differences(const std::string& mine, const std::string& theirs) {
    const auto own = keys_of(mine);
    const auto other = keys_of(theirs);
    const std::map<std::string, std::string> there(other.begin(), other.end());
    std::vector<std::string> differences;
    for (const auto& [key, value] : own) {
        const auto found = there.find(key);
        if (found == there.end())
            differences.push_back(fmt::format("{} is {}, the other ranks do not have this key", key, value));
        else if (found->second != value)
            differences.push_back(fmt::format("{} is {}, not {}", key, value, found->second));
    }
    std::string text;
    for (std::size_t i = 0; i < std::min(differences.size(), most_keys); ++i)
        text += (i > 0 ? "; " : "") + differences[i];
    if (differences.size() > most_keys) text += fmt::format("; and {} more keys", differences.size() - most_keys);
    return text.empty() ? "keys of the other ranks are missing" : text;
}

Findings judge_clocks(const std::vector<double>& offsets, const std::vector<double>& bounds, const Hosts& hosts) {
    std::vector<double> sorted = offsets;
    std::sort(sorted.begin(), sorted.end());
    const double usual = sorted[(sorted.size() - 1) / 2];  // an actual offset: of two ranks one is right
    std::vector<int> wrong;
    for (int rank = 0; rank < int(offsets.size()); ++rank)
        if (std::abs(offsets[std::size_t(rank)] - usual) > most_clock_seconds + bounds[std::size_t(rank)])
            wrong.push_back(rank);
    Findings findings;
    for (const std::string& host : nodes_of(hosts)) {  // the ranks of a node have one clock
        std::vector<int> here;
        for (const int rank : wrong)
            if (hosts[std::size_t(rank)] == host) here.push_back(rank);
        if (here.empty()) continue;
        const double off = offsets[std::size_t(here[0])] - usual;
        findings.push_back(
            {Severity::problem,
             fmt::format("{}: clock is {:.3f} s (+-{:.3f}) {} the median clock, expected at most {} s; synchronise the "
                         "nodes' clocks (chronyc, timedatectl)",
                         ranks_text(here, hosts), std::abs(off), bounds[std::size_t(here[0])],
                         off > 0 ? "ahead of" : "behind", most_clock_seconds)});
    }
    return findings;
}

std::vector<NodeMemory> memory_of_nodes(const std::vector<RankMemory>& ranks, const Hosts& hosts) {
    std::vector<NodeMemory> nodes;
    for (const std::string& host : nodes_of(hosts)) {
        NodeMemory& node = nodes.emplace_back();
        node.ranks = ranks_of(hosts, host);
        for (const int rank : node.ranks) {
            const RankMemory& mine = ranks[std::size_t(rank)];
            if (rank == node.ranks[0] || mine.available_bytes < node.available_bytes) {
                node.available_bytes = mine.available_bytes;
                node.limit = mine.limit;
            }
            node.needed_bytes += mine.needed_bytes;
            node.shared_needed_bytes += node.ranks.size() > 1 ? mine.shared_needed_bytes : 0.0;
            node.shared_free_bytes = mine.shared_free_bytes;
        }
    }
    return nodes;
}

Findings judge_memory(const std::vector<NodeMemory>& nodes, const Hosts& hosts) {
    Findings findings;
    for (const NodeMemory& node : nodes) {
        const std::string who = ranks_text(node.ranks, hosts);
        if (node.needed_bytes > node.available_bytes)
            findings.push_back(
                {Severity::problem,
                 fmt::format(
                     "{}: need {} of host memory together, but {} is available ({}); end other programs on this "
                     "node, start fewer ranks per node, or ask the scheduler for more memory",
                     who, bytes_text(node.needed_bytes), bytes_text(node.available_bytes), node.limit)});
        if (node.shared_needed_bytes > node.shared_free_bytes)
            findings.push_back(
                {Severity::problem,
                 fmt::format(
                     "{}: /dev/shm has {} free, expected at least {} for messages within the node; remove files from "
                     "/dev/shm, or give the container more shared memory (--shm-size)",
                     who, bytes_text(node.shared_free_bytes), bytes_text(node.shared_needed_bytes))});
    }
    return findings;
}

std::int64_t most_checkpoints(const CheckpointRule& rule) {
    const std::int64_t ever = rule.every > 0 ? (rule.steps + rule.every - 1) / rule.every : 1;
    if (rule.keep_last == 0) return ever;
    const std::int64_t for_good = rule.keep_every > 0 ? rule.steps / rule.keep_every : 0;
    // + 2: the checkpoint being written, and the one that the run resumed from.
    return std::min(ever, rule.keep_last + 2 + for_good);
}

Findings judge_space(const std::string& directory, double needed_bytes, double there_bytes, double free_bytes) {
    const double missing = needed_bytes - there_bytes;
    if (missing <= free_bytes) return {};
    return {
        {Severity::problem,
         fmt::format("{}: checkpoints need {}; existing checkpoints already take {} of this, and {} is free; free disk "
                     "space, or lower checkpoint.keep_last",
                     directory, bytes_text(needed_bytes), bytes_text(there_bytes), bytes_text(free_bytes))}};
}

Findings judge_file(const std::string& path, const std::vector<std::string>& states, const Hosts& hosts) {
    const std::vector<Group> groups = vote(states);
    if (groups.size() > 1)
        return judge_equal(
            {.what = path, .advice = "copy this file to every node, or mount the same file system on every node"},
            states, hosts);
    if (!groups[0].value.starts_with(unreadable)) return {};
    return {{Severity::bad_file, fmt::format("{}: {} on every rank", path, groups[0].value)}};
}

Findings judge_times(const std::string& what, const std::vector<double>& seconds, const Hosts& hosts,
                     double slow_factor) {
    const double usual = median(seconds);
    std::vector<int> slow;
    for (int rank = 0; rank < int(seconds.size()); ++rank)
        if (seconds[std::size_t(rank)] > slow_factor * usual) slow.push_back(rank);
    if (slow.empty()) return {};
    return {{Severity::slow, fmt::format("{}: {}: {}, the median is {}; check the network links of these ranks",
                                         ranks_text(slow, hosts), what, seconds_text(seconds[std::size_t(slow[0])]),
                                         seconds_text(usual))}};
}

Findings judge_products(const std::vector<double>& flops, const Hosts& hosts) {
    const double usual = median(flops);
    Findings findings;
    for (int rank = 0; rank < int(flops.size()); ++rank) {
        const double mine = flops[std::size_t(rank)];
        if (mine < least_share_of_median * usual)
            findings.push_back(
                {Severity::slow,
                 fmt::format(
                     "{}: matrix products reach {:.4g} GFLOP/s, {:.0f} % of the median of {:.4g} GFLOP/s; check for "
                     "other programs on this node, its clock rate, its temperature and the binding of threads",
                     ranks_text({rank}, hosts), mine * 1e-9, 100.0 * mine / usual, usual * 1e-9)});
    }
    return findings;
}

std::string rate_text(double bytes_per_second) { return fmt::format("{:.3g} GB/s", bytes_per_second * 1e-9); }

std::string seconds_text(double seconds) {
    return seconds < 1e-3 ? fmt::format("{:.3g} us", seconds * 1e6) : fmt::format("{:.3g} ms", seconds * 1e3);
}

}  // namespace gpas::preflight
