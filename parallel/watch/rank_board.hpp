// What a rank is doing, where others can see it: plain data in memory that the processes of a node share, so that it is
// there when the rank no longer answers. Written by its rank alone; readers may see a record half written, which its
// number tells.
#pragma once

#include "base/phase_seconds.hpp"

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

namespace gpas {

// What the training thread is at; while it waits for other ranks, `waiting` says so besides.
enum class Phase : std::int32_t { start_up, data, forward, backward, reduction, optimizer, evaluation, save, end };
const char* name_of(Phase phase);  // "start-up"

enum class RankState : std::int32_t {
    running,
    finished,  // in order: nothing is expected of it any more
    failed,    // with an error that it has told, and ends the job for
    exited,    // somebody called exit()
    crashed,   // by a signal such as SIGSEGV
};

// One call to a communicator.
struct CallRecord {
    std::atomic<std::int64_t> number = 0;  // 1, 2, … of this rank; 0: being written
    std::int64_t step = -1;                // of the run, from 1; -1: not in a step
    std::int64_t micro_batch = -1;
    double start_seconds = 0.0;                       // since the board was made
    std::atomic<double> end_seconds = -1.0;           // -1: not finished
    char group[24] = "", op[24] = "", data[64] = "";  // cut where they are longer
    char what[56] = "";
};

struct RankBoard {
    static constexpr std::size_t calls_kept = 256;
    static constexpr std::size_t frames_kept = 48;

    std::atomic<std::uint64_t> magic = 0;  // set last
    std::atomic<std::int32_t> rank = 0;
    std::atomic<std::int32_t> size = 1;
    pid_t pid = 0;
    std::int64_t process_start = 0;  // in the clock ticks of /proc/<pid>/stat: tells processes of one number apart
    std::int64_t made_nanoseconds = 0;
    char host[64] = "";

    std::atomic<RankState> state = RankState::running;
    std::atomic<std::int32_t> signal = 0;  // that it crashed by
    std::atomic<Phase> phase = Phase::start_up;
    std::atomic<std::int64_t> step = -1;
    std::atomic<std::int64_t> micro_batch = -1;
    std::atomic<std::int64_t> waiting = 0;                // number of the call that it waits in; 0: it does not wait
    std::atomic<std::int64_t> gpu_call = 0;               // the oldest that its GPU has not finished; 0: none
    std::atomic<bool> gpu_failed = false;                 // its GPU's calls are given up
    char gpu_trouble[400] = "";                           // why; set before
    std::atomic<std::int64_t> moved_nanoseconds = 0;      // when it last began or ended anything
    std::atomic<std::int64_t> heartbeat_nanoseconds = 0;  // of its watcher
    std::atomic<std::int32_t> stage = 0;                  // pipeline stage: ranks of one stage have the same work

    // Seconds of this rank's steps since the start, and the number of those steps. Written by add_step().
    std::atomic<double> data_seconds = 0.0, compute_seconds = 0.0, communication_seconds = 0.0, optimizer_seconds = 0.0;
    std::atomic<std::int64_t> steps = 0;

    // Return addresses of the training thread, innermost first, taken when somebody asked.
    std::array<std::atomic<void*>, frames_kept> frames = {};
    std::atomic<std::int32_t> frame_count = 0;
    std::atomic<bool> doomed = false;  // whoever asked has given the rank up: it must not go on
    std::atomic<bool> ended = false;   // the job is: another rank of the node has written the report

    std::atomic<std::int64_t> call_count = 0;
    std::array<CallRecord, calls_kept> calls;  // a ring: number n stands at n % calls_kept
};
static_assert(std::is_standard_layout_v<RankBoard> && std::atomic<double>::is_always_lock_free &&
              std::atomic<RankState>::is_always_lock_free);

// A rank as it was seen: a copy that may be sent, and outlives the rank.
struct RankStatus {
    std::int32_t rank = -1;
    std::int32_t stage = 0;
    std::int64_t pid = 0;
    RankState state = RankState::running;
    std::int32_t signal = 0;
    Phase phase = Phase::start_up;
    std::int64_t step = -1;
    std::int64_t micro_batch = -1;
    std::int64_t calls = 0;       // made so far
    double still_seconds = 0.0;   // since it last began or ended anything
    double silent_seconds = 0.0;  // since its watcher was last heard of
    PhaseSeconds seconds;         // of all steps since the start
    std::int64_t steps = 0;       // how many these are
    char host[64] = "";
    char call[160] = "";  // that it waits in, or its GPU has not finished; empty: there is none
};
static_assert(std::is_trivially_copyable_v<RankStatus>);

// += the seconds of one step. The training thread only; any thread or process may read meanwhile.
void add_step(RankBoard& board, const PhaseSeconds& seconds);

std::int64_t monotonic_nanoseconds();  // the same clock for all processes of a node
RankStatus read_status(const RankBoard& board, std::int64_t now_nanoseconds);
// "step 12, micro-batch 1, forward", "step 12, reduction, waiting 3.2 s in all_reduce of gradients over data (…)"
std::string text_of(const RankStatus& status);

// Ready to be shown: identity of this process, phase start_up.
void open_board(RankBoard& board, int rank, int size);
// When the process of this number began, in clock ticks since boot; 0: there is none.
std::int64_t process_start_ticks(pid_t pid);
constexpr std::uint64_t board_magic = 0x67706173'626f3032;  // "gpasbo02"

}  // namespace gpas
