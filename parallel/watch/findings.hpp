// The losses that a watcher knows of. Not thread-safe: the watcher guards them with a mutex.
#pragma once

#include "parallel/watch/finding.hpp"
#include "parallel/watch/link.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace gpas {

class Findings {
public:
    // Adds a finding. At most one finding per rank counts: the first one, or the first that is not hearsay.
    void add(const Finding& finding);
    // Marks a rank that has ended normally. It needs no further check.
    void add_ended(int rank) { settled_.emplace(rank, Finding{}); }

    // The lost ranks, in the order in which they were found.
    const std::vector<Finding>& all() const { return findings_; }
    bool empty() const { return findings_.empty(); }
    // Whether a rank needs no further check: it is lost, or it has ended normally.
    bool is_settled(int rank) const { return settled_.contains(rank); }
    std::set<int> settled() const;
    // Whether a settled rank's process, if it still exists, must be killed: it does not end by itself. False for a loss
    // that the rank itself reports (is_consequence).
    bool must_be_killed(int rank) const;
    // Whether every finding is hearsay or a consequence, so that the cause may still become known.
    bool lacks_a_cause() const;
    // Seconds since the first finding; 0 before the first finding.
    double seconds_since_first() const;

    // Sends the findings that this function has not sent before.
    void send_new(Link& link);
    // Reorders the findings: consequences last. The report names the first finding as the cause.
    void put_causes_first();

private:
    std::vector<Finding> findings_;
    std::map<int, Finding> settled_;
    std::size_t sent_ = 0;
    std::optional<std::int64_t> first_nanoseconds_;
};

}  // namespace gpas
