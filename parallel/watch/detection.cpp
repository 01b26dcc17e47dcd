#include "parallel/watch/detection.hpp"

#include "base/fixed_text.hpp"

#include <fmt/format.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <string>

#include <unistd.h>

namespace gpas {
namespace {

Finding finding_of(Loss loss, const WatchedRank& view, const WatchState& state) {
    Finding finding{.how = loss, .last = view.status, .seen_by = state.rank};
    if (loss != Loss::died || !view.local) return finding;
    const std::string killed = memory_kills_text(state.kills_before, memory_kills(), cgroup_memory_limit());
    if (killed.empty()) return finding;
    finding.how = Loss::out_of_memory;
    copy_text(finding.detail, killed);
    return finding;
}

double start_seconds(const WatchLimits& limits) {
    const char* text = std::getenv("GPAS_START_SECONDS");
    const double seconds = text != nullptr ? std::atof(text) : 0.0;
    return seconds > 0.0 ? seconds : limits.stall_seconds;
}

// All ranks are on this node: names those that have not started.
void add_missing_ranks(WatchState& state, const std::map<int, WatchedRank>& here, double waited_seconds) {
    for (int rank = 0; rank < state.size; ++rank)
        if (!here.contains(rank))
            state.findings.add({.how = Loss::missing,
                                .last = {.rank = rank, .silent_seconds = waited_seconds},
                                .seen_by = state.rank});
}

}  // namespace

void detect_lost_ranks(WatchState& state) {
    const std::map<int, WatchedRank> views = state.peers.views(*state.board);
    const WatchLimits limits = limits_now(state.settings.limits, views);
    for (const auto& [rank, view] : views) {
        if (const auto loss = judge(view, limits))
            state.findings.add(finding_of(*loss, view, state));
        else if (view.gone)
            state.findings.add_ended(rank);
    }
}

// Before MPI_Init has returned, only boards show which ranks have started, and only on this node.
void detect_hanging_start(WatchState& state) {
    if (state.joined) return;
    const RankStatus mine = state.status();
    const double limit = start_seconds(state.settings.limits);
    if (limit <= 0.0 || mine.still_seconds <= limit || !state.findings.empty()) return;
    if (!state.settings_read) return state.findings.add(state.own_finding(Loss::stalled));
    if (mine.call[0] == '\0') return;
    const std::map<int, WatchedRank> here = state.peers.views(*state.board);
    const int local_size = state.launch.local_size;
    if (local_size == state.size) return add_missing_ranks(state, here, mine.still_seconds);
    Finding unmet = state.own_finding(Loss::unmet);
    const std::string expected = local_size > 0 ? fmt::format(" of {}", local_size) : std::string();
    copy_text(unmet.detail, fmt::format("{}{} ranks of its node have started", here.size(), expected));
    state.findings.add(unmet);
}

// The thread that tracks GPU calls (NcclSession) aborts them at 1.2 × stall_seconds and sets gpu_failed. If that thread
// is itself blocked in a CUDA call, this watcher reports the GPU at 1.4 × stall_seconds.
void detect_lost_gpu(WatchState& state) {
    const Finding mine = state.own_finding(Loss::gpu_stalled);
    const double limit = 1.4 * state.settings.limits.stall_seconds;
    if (state.board->gpu_failed.load(std::memory_order_acquire)) {
        Finding failed = mine;
        failed.how = Loss::gpu_failed;
        copy_text(failed.detail, text_in(state.board->gpu_failure));
        state.findings.add(failed);
    } else if (limit > 0.0 && state.board->gpu_call != 0 && mine.last.still_seconds > limit) {
        state.findings.add(mine);
    }
}

void detect_lost_launcher(WatchState& state) {
    if (state.launched && getppid() != state.parent) state.findings.add(state.own_finding(Loss::orphaned));
}

}  // namespace gpas
