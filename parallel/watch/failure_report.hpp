// What is left to people of a job that was ended because ranks were lost: one file, written by whoever comes first.
#pragma once

#include "base/descriptor.hpp"
#include "parallel/watch/finding.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace gpas {

struct Failure {
    std::vector<Finding> findings;  // the first is the cause
    std::vector<RankStatus> ranks;  // all that are known, in order
    std::int32_t size = 1;
    std::int32_t reporter = 0;
    std::string job;  // how the job calls itself
};

// "rank 2 (…) was killed or died in …; rank 3 …": for one line on stderr.
std::string headline(const Failure& failure);
// The headline, findings, who waits in what, all ranks.
std::string report_text(const Failure& failure);
// Stack and last calls of a rank on this node, to follow after it.
std::string rank_details(const RankBoard& board, bool stack_is_fresh);

// A report of one start of a job in <directory>/failures/. The first rank that opens it writes it; others that open it
// add to it: each write is appended as a whole. Without a directory, or where it cannot be written, text goes nowhere.
class ReportFile {
public:
    // started: of this process, seconds since 1970; a file of this name that is older is of another start.
    ReportFile(const std::filesystem::path& directory, const std::string& job, double started);

    bool is_first() const { return first_; }
    void append(const std::string& text);
    const std::filesystem::path& path() const { return path_; }  // empty: there is none

private:
    std::filesystem::path path_;
    Descriptor descriptor_;
    bool first_ = false;
};

}  // namespace gpas
