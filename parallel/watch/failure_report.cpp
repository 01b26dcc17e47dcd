#include "parallel/watch/failure_report.hpp"

#include "base/ranks_text.hpp"
#include "parallel/board/call_log.hpp"
#include "parallel/watch/stack_trace.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <map>

namespace gpas {
namespace {

constexpr std::size_t most_findings_in_a_line = 4;
constexpr std::int64_t calls_shown = 12;

std::string state_of(const RankStatus& rank) {
    switch (rank.state) {
        case RankState::running: return "";
        case RankState::finished: return " (finished)";
        case RankState::failed: return " (ended with an error)";
        case RankState::exited: return " (exited)";
        case RankState::crashed: return " (crashed)";
    }
    return "";
}

std::string waits_text(const Failure& failure) {
    std::map<std::string, std::vector<int>> waiting;
    for (const RankStatus& rank : failure.ranks)
        if (rank.call[0] != '\0') waiting[rank.call].push_back(rank.rank);
    std::string text;
    for (const auto& [call, ranks] : waiting) text += fmt::format("  {}: {}\n", call, ranks_text(ranks));
    return text.empty() ? "  no rank waits\n" : text;
}

}  // namespace

std::string headline(const Failure& failure) {
    std::string text;
    for (std::size_t i = 0; i < std::min(failure.findings.size(), most_findings_in_a_line); ++i)
        text += fmt::format("{}{}", i ? "; " : "", text_of(failure.findings[i]));
    if (failure.findings.size() > most_findings_in_a_line)
        text += fmt::format("; and {} more ranks", failure.findings.size() - most_findings_in_a_line);
    return text;
}

std::string report_text(const Failure& failure) {
    std::string text =
        fmt::format("{}\n{:%Y-%m-%d %H:%M:%S} UTC, job {}, reported by rank {}\n\nLost:\n", headline(failure),
                    fmt::gmtime(std::chrono::system_clock::now()), failure.job, failure.reporter);
    for (const Finding& finding : failure.findings)
        text += fmt::format("  {} (detected by rank {})\n", text_of(finding), finding.seen_by);
    text += "\nRanks that wait, by call:\n" + waits_text(failure);
    text += "\nLast known state of all ranks:\n";
    for (const RankStatus& rank : failure.ranks)
        text += fmt::format(
            "  rank {:>4} on {} pid {}{}: {}; last progress {:.1f} s ago, last heartbeat {:.1f} s ago, {} calls\n",
            rank.rank, rank.host, rank.pid, state_of(rank), text_of(rank), rank.still_seconds, rank.silent_seconds,
            rank.calls);
    if (std::ssize(failure.ranks) < failure.size)
        text += fmt::format("  {} of {} ranks never sent a heartbeat\n", failure.size - std::ssize(failure.ranks),
                            failure.size);
    return text + "\n";
}

std::string rank_details(const RankBoard& board, bool stack_is_fresh) {
    std::string text = fmt::format("Rank {}:\n", board.rank.load());
    if (!stack_is_fresh || board.frame_count == 0)
        text += "  no stack: the process did not respond\n";
    else
        for (const std::string& line : stack_lines(board)) text += fmt::format("  at {}\n", line);
    const std::vector<CommCall> calls = read_calls(board);
    const std::int64_t first = std::max<std::int64_t>(0, std::ssize(calls) - calls_shown);
    if (!calls.empty()) text += "  last calls (number, start and end in seconds, call):\n";
    for (std::int64_t i = first; i < std::ssize(calls); ++i) {
        const CommCall& call = calls[std::size_t(i)];
        const std::string end = call.end_seconds < 0 ? "unfinished" : fmt::format("{:.6f}", call.end_seconds);
        text += fmt::format("  {:>8} {:>12.6f} {:>12} {}\n", call.number, call.start_seconds, end, text_of(call));
    }
    return text + "\n";
}

ReportFile::ReportFile(const std::filesystem::path& directory, const std::string& job, double started) {
    if (directory.empty()) return;
    std::string name;
    for (const char c : job) name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    std::error_code error;
    std::filesystem::create_directories(directory / "failures", error);
    for (int n = 1; n < 1000; ++n) {
        const std::filesystem::path candidate =
            directory / "failures" / fmt::format("job_{}{}.txt", name, n > 1 ? fmt::format("_{}", n) : "");
        const int flags = O_WRONLY | O_APPEND | O_CLOEXEC;
        descriptor_ = Descriptor(open(candidate.c_str(), flags | O_CREAT | O_EXCL, 0666));
        first_ = bool(descriptor_);
        if (!first_ && errno != EEXIST) return;
        if (!first_) descriptor_ = Descriptor(open(candidate.c_str(), flags));
        struct stat status = {};
        if (!descriptor_ || fstat(descriptor_.get(), &status) != 0) return;
        path_ = candidate;
        if (first_ || double(status.st_mtime) + 1.0 >= started) return;
        descriptor_.reset();
        path_.clear();
    }
}

void ReportFile::append(const std::string& text) {
    if (!descriptor_) return;
    std::size_t done = 0;
    while (done < text.size()) {
        const ssize_t written = write(descriptor_.get(), text.data() + done, text.size() - done);
        if (written <= 0) return;
        done += std::size_t(written);
    }
}

}  // namespace gpas
