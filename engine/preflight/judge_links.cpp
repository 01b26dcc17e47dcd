// The schedule of the link measurements, and the search for slow links.
#include "engine/preflight/judge.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gpas::preflight {

std::vector<Round> tournament(int n) {
    std::vector<Round> rounds;
    const int others = n + n % 2 - 1;  // circle method: these rotate around the last player; if n is odd, one rests
    for (int round = 0; n > 1 && round < others; ++round) {
        Round& pairs = rounds.emplace_back();
        if (n % 2 == 0) pairs.emplace_back(round, others);
        for (int i = 1; i <= (others - 1) / 2; ++i) {
            const int a = (round + i) % others;
            const int b = (round + others - i) % others;
            pairs.emplace_back(std::min(a, b), std::max(a, b));
        }
    }
    return rounds;
}

std::vector<Round> link_rounds(const Hosts& hosts, int few) {
    if (int(hosts.size()) <= few) return tournament(int(hosts.size()));
    std::vector<Round> rounds;
    std::vector<int> first;
    for (const std::string& node : nodes_of(hosts)) {
        const std::vector<int> ranks = ranks_of(hosts, node);
        first.push_back(ranks[0]);
        const std::vector<Round> within = tournament(int(ranks.size()));
        rounds.resize(std::max(rounds.size(), within.size()));  // all nodes at the same time
        for (std::size_t i = 0; i < within.size(); ++i)
            for (const auto& [a, b] : within[i]) rounds[i].emplace_back(ranks[std::size_t(a)], ranks[std::size_t(b)]);
    }
    for (const Round& between : tournament(int(first.size()))) {
        rounds.emplace_back();
        for (const auto& [a, b] : between) rounds.back().emplace_back(first[std::size_t(a)], first[std::size_t(b)]);
    }
    return rounds;
}

namespace {

struct Judged {
    const MeasuredLink* link = nullptr;
    double usual = 0.0;  // bytes per second that links of its kind usually reach
    double usual_seconds = 0.0;
    bool narrow = false;
    bool late = false;
    bool slow() const { return narrow || late; }
};

// The usual value: the median; of up to three links the best value, since one bad rank of three makes two links slow.
double usual_of(std::vector<double> values, bool most_is_best) {
    if (values.empty() || values.size() > 3) return median(std::move(values));
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    return most_is_best ? *most : *least;
}

std::vector<Judged> against_their_kind(const std::vector<MeasuredLink>& links, const Hosts& hosts, double slow_factor) {
    constexpr double late_seconds = 50e-6;  // more than a busy processor delays a small message
    std::vector<Judged> judged;
    for (const bool within : {true, false}) {
        std::vector<const MeasuredLink*> kind;
        std::vector<double> rates, seconds;
        for (const MeasuredLink& link : links)
            if ((hosts[std::size_t(link.a)] == hosts[std::size_t(link.b)]) == within) {
                kind.push_back(&link);
                rates.push_back(link.bytes_per_second);
                seconds.push_back(link.seconds);
            }
        const double rate = usual_of(rates, true), second = usual_of(seconds, false);
        for (const MeasuredLink* link : kind)
            judged.push_back({.link = link,
                              .usual = rate,
                              .usual_seconds = second,
                              // Parentheses: clang-format reads a < b, c > d as the arguments of a template.
                              .narrow = (link->bytes_per_second * slow_factor) < rate,
                              .late = link->seconds > (slow_factor * second + late_seconds)});
    }
    return judged;
}

std::string link_text(const Judged& judged) {
    if (judged.narrow)
        return fmt::format("{}, links of this kind usually reach {}", rate_text(judged.link->bytes_per_second),
                           rate_text(judged.usual));
    return fmt::format("a small message takes {}, usually {}", seconds_text(judged.link->seconds),
                       seconds_text(judged.usual_seconds));
}

bool touches(const Judged& judged, int rank) { return judged.link->a == rank || judged.link->b == rank; }

}  // namespace

Findings judge_links(const std::vector<MeasuredLink>& links, const Hosts& hosts, double slow_factor) {
    std::vector<Judged> judged = against_their_kind(links, hosts, slow_factor);
    Findings findings;
    for (int rank = 0; rank < int(hosts.size()); ++rank) {
        const auto count = [&](auto&& wanted) {
            return std::count_if(judged.begin(), judged.end(),
                                 [&](const Judged& j) { return touches(j, rank) && wanted(j); });
        };
        const auto all = count([](const Judged&) { return true; });
        if (all < 2 || count([](const Judged& j) { return j.slow(); }) < all) continue;
        const auto worst =
            std::find_if(judged.begin(), judged.end(), [&](const Judged& j) { return touches(j, rank); });
        findings.push_back(
            {Severity::slow,
             fmt::format(
                 "{}: all {} links of this rank are slow, for example the link to rank {}: {}; check the network "
                 "card, its cable and driver, and other programs on this node",
                 ranks_text({rank}, hosts), all, worst->link->a == rank ? worst->link->b : worst->link->a,
                 link_text(*worst))});
        std::erase_if(judged, [&](const Judged& j) { return touches(j, rank); });
    }
    for (const Judged& j : judged)
        if (j.slow())
            findings.push_back(
                {Severity::slow,
                 fmt::format("link from {} to {}: {}; check the cables and switches between the two",
                             ranks_text({j.link->a}, hosts), ranks_text({j.link->b}, hosts), link_text(j))});
    return findings;
}

}  // namespace gpas::preflight
