#include "parallel/watch/findings.hpp"

#include <algorithm>

namespace gpas {

void Findings::add(const Finding& finding) {
    const int rank = finding.last.rank;
    const auto known = settled_.find(rank);
    const bool better = known == settled_.end() || (is_hearsay(known->second.how) && !is_hearsay(finding.how));
    if (!better) return;
    // A finding by a watcher on the rank's own node replaces one that comes from a connection.
    std::erase_if(findings_, [&](const Finding& other) { return other.last.rank == rank; });
    settled_[rank] = finding;
    findings_.push_back(finding);
    if (!first_nanoseconds_) first_nanoseconds_ = monotonic_nanoseconds();
}

std::set<int> Findings::settled() const {
    std::set<int> ranks;
    for (const auto& [rank, finding] : settled_) ranks.insert(rank);
    return ranks;
}

bool Findings::must_be_killed(int rank) const {
    const auto known = settled_.find(rank);
    return known != settled_.end() && !is_consequence(known->second.how);
}

bool Findings::lacks_a_cause() const {
    return std::all_of(findings_.begin(), findings_.end(),
                       [](const Finding& finding) { return is_hearsay(finding.how) || is_consequence(finding.how); });
}

double Findings::seconds_since_first() const { return first_nanoseconds_ ? seconds_since(*first_nanoseconds_) : 0.0; }

void Findings::send_new(Link& link) {
    for (; sent_ < findings_.size(); ++sent_) link.send(Message::finding, findings_[sent_]);
}

void Findings::put_causes_first() {
    std::stable_partition(findings_.begin(), findings_.end(),
                          [](const Finding& finding) { return !is_consequence(finding.how); });
}

}  // namespace gpas
