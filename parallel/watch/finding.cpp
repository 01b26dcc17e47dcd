#include "parallel/watch/finding.hpp"

#include "base/fixed_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace gpas {
namespace {

std::string how_of(const Finding& finding) {
    switch (finding.how) {
        case Loss::died: return "was killed or died";
        case Loss::exited: return "called exit()";
        case Loss::crashed: return fmt::format("crashed ({})", strsignal(finding.last.signal));
        case Loss::silent:
            return fmt::format("hangs (its process is stopped; no heartbeat for {:.1f} s)",
                               finding.last.silent_seconds);
        case Loss::unreachable:
            return fmt::format("cannot be reached (no heartbeat for {:.1f} s)", finding.last.silent_seconds);
        case Loss::disconnected: return "died, or its node failed (its connection was closed)";
        case Loss::superseded:
            return "was superseded: another start of the run owns the run's directory now, so this start ends";
        case Loss::orphaned: return "lost its launcher (the launcher's process no longer exists)";
        case Loss::out_of_memory: return "was killed for lack of memory";
        case Loss::missing:
            return fmt::format("did not start within {:.1f} s (it sent no heartbeat and did not reach MPI_Init)",
                               finding.last.silent_seconds);
        case Loss::unmet: return "waited too long for ranks that did not reach MPI_Init";
        case Loss::gpu_failed: return "aborted its NCCL calls";
        case Loss::gpu_stalled:
            return fmt::format("has a GPU that made no progress for {:.1f} s", finding.last.still_seconds);
        case Loss::stalled: return fmt::format("made no progress for {:.1f} s", finding.last.still_seconds);
    }
    return "is lost";
}

}  // namespace

std::string text_of(const Finding& finding) {
    const RankStatus& last = finding.last;
    std::string who = fmt::format("rank {}", last.rank);
    if (last.pid > 0) who += fmt::format(" (pid {} on {})", last.pid, last.host);
    const std::string detail = finding.detail[0] != '\0' ? fmt::format(" ({})", text_in(finding.detail)) : "";
    return fmt::format("{} {}{} in {}", who, how_of(finding), detail,
                       last.pid > 0 ? text_of(last) : "start-up, before its first heartbeat");
}

WatchLimits limits_now(WatchLimits limits, const std::map<int, WatchedRank>& ranks) {
    const bool somebody_waits = std::any_of(ranks.begin(), ranks.end(), [&](const auto& entry) {
        const RankStatus& status = entry.second.status;
        return status.call[0] != '\0' && status.still_seconds > limits.stall_seconds;
    });
    limits.stall_seconds = somebody_waits ? limits.stall_seconds / 2.0 : 0.0;
    return limits;
}

std::optional<Loss> judge(const WatchedRank& view, const WatchLimits& limits) {
    const RankStatus& status = view.status;
    if (status.state == RankState::finished) return std::nullopt;
    if (view.gone) {
        switch (status.state) {
            case RankState::finished:
            case RankState::failed: return std::nullopt;  // it has printed its error, and ends the job
            case RankState::exited: return Loss::exited;
            case RankState::crashed: return Loss::crashed;
            case RankState::running: return view.local ? Loss::died : Loss::disconnected;
        }
    }
    // Watchers on the rank's own node know the cause better, so those on other nodes wait longer.
    const double patience = limits.silent_seconds * (view.local ? 1.0 : 1.5);
    if (limits.silent_seconds > 0.0 && status.silent_seconds > patience)
        return view.local ? Loss::silent : Loss::unreachable;
    if (limits.stall_seconds > 0.0 && status.call[0] == '\0' && status.still_seconds > limits.stall_seconds)
        return Loss::stalled;
    return std::nullopt;
}

}  // namespace gpas
