// The report about a job that was ended because ranks were lost: one file, written by the first watcher that opens it.
#pragma once

#include "base/descriptor.hpp"
#include "parallel/watch/finding.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace gpas {

struct Failure {
    std::vector<Finding> findings;  // the first is the cause
    std::vector<RankStatus> ranks;  // all known ranks, in rank order
    std::int32_t size = 1;          // ranks of the job
    std::int32_t reporter = 0;      // the rank that writes the report
    std::string job;                // the name of the job in the report
};

// One line for stderr: "rank 2 (…) was killed or died in …; rank 3 …".
std::string headline(const Failure& failure);
// The body of the report: the headline, the findings, which ranks wait in which call, the status of all ranks.
std::string report_text(const Failure& failure);
// The stack and the last 12 calls of a rank on this node, to append to the report. stack_is_fresh: board.frames were
// written for this report.
std::string rank_details(const RankBoard& board, bool stack_is_fresh);

// The report file of one start of a job: <directory>/failures/job_<job>.txt, or job_<job>_2.txt and so on if a file of
// this name belongs to an earlier start. The first rank that opens the file makes it; later ranks append to it. If
// there is no directory, or the file cannot be written, append() does nothing.
class ReportFile {
public:
    // started: when this process started, in seconds since 1970. A file that was last written before that belongs to an
    // earlier start.
    ReportFile(const std::filesystem::path& directory, const std::string& job, double started);

    bool is_first() const { return first_; }  // this rank made the file
    void append(const std::string& text);
    const std::filesystem::path& path() const { return path_; }  // empty if there is no file

private:
    std::filesystem::path path_;
    Descriptor descriptor_;
    bool first_ = false;
};

}  // namespace gpas
