// The board: what one rank is doing, in memory that all processes of the node share. Other processes can therefore read
// it when the rank hangs or has died. The rank itself writes the board. Another process writes only `frame_count` = 0,
// when it requests the rank's stack, and `doomed` and `ended`, when the job ends. Readers use no lock: call_log.cpp
// describes how they detect a CallRecord that is being written.
#pragma once

#include "base/phase_seconds.hpp"

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <type_traits>

namespace gpas {

// What the training thread is working on. If it is blocked in a communicator call, RankBoard::waiting holds that call.
enum class Phase : std::int32_t { start_up, data, forward, backward, reduction, optimizer, evaluation, save, end };
const char* name_of(Phase phase);  // "start-up"

enum class RankState : std::int32_t {
    running,
    finished,  // ended normally: others no longer wait for it
    failed,    // has an error, prints it, and ends the job; or its watcher ends it, because a rank is lost
    exited,    // some code called exit()
    crashed,   // a signal such as SIGSEGV
};

// What the log stores about one call, apart from its number and its end. Longer texts are cut.
struct CallFields {
    std::int64_t step = -1;  // training step, from 1; -1: outside a step
    std::int64_t micro_batch = -1;
    double start_seconds = 0.0;  // since the board was made
    char group[24] = "", op[24] = "", data[64] = "", what[56] = "";
};
static_assert(std::is_trivially_copyable_v<CallFields> && sizeof(CallFields) % sizeof(std::uint64_t) == 0);

// One call of a communicator. A seqlock guards it: call_log.cpp.
struct CallRecord {
    using Words = std::array<std::uint64_t, sizeof(CallFields) / sizeof(std::uint64_t)>;

    std::atomic<std::int64_t> number = 0;    // from 1; 0: being written
    std::atomic<double> end_seconds = -1.0;  // since the board was made; -1: not finished
    std::array<std::atomic<std::uint64_t>, std::tuple_size_v<Words>> words = {};  // the bytes of CallFields
};

struct RankBoard {
    static constexpr std::size_t calls_kept = 256;
    static constexpr std::size_t frames_kept = 48;

    std::atomic<std::uint64_t> magic = 0;  // board_magic; written last (release), when the fields below it are valid
    std::atomic<std::int32_t> rank = 0;
    std::atomic<std::int32_t> size = 1;
    pid_t pid = 0;
    std::int64_t process_start = 0;     // clock ticks, from /proc/<pid>/stat: distinguishes processes with a reused pid
    std::int64_t made_nanoseconds = 0;  // monotonic_nanoseconds(), as the other times
    char host[64] = "";

    std::atomic<RankState> state = RankState::running;
    std::atomic<std::int32_t> signal = 0;  // the signal of a crash
    std::atomic<Phase> phase = Phase::start_up;
    std::atomic<std::int64_t> step = -1;
    std::atomic<std::int64_t> micro_batch = -1;
    std::atomic<std::int64_t> waiting = 0;                // number of the call that blocks the host; 0: not blocked
    std::atomic<std::int64_t> gpu_call = 0;               // oldest call that the GPU has not finished; 0: all finished
    std::atomic<bool> gpu_failed = false;                 // the NCCL calls of this rank were aborted (release store)
    char gpu_failure[400] = "";                           // the reason; written before gpu_failed
    std::atomic<std::int64_t> moved_nanoseconds = 0;      // last progress: a phase or a call began or ended
    std::atomic<std::int64_t> heartbeat_nanoseconds = 0;  // last heartbeat of the rank's watcher thread
    std::atomic<std::int32_t> stage = 0;                  // pipeline stage: ranks of one stage have equal work

    // Seconds that this rank's steps have taken since it started, and the number of these steps. Written by add_step().
    std::atomic<double> data_seconds = 0.0, compute_seconds = 0.0, communication_seconds = 0.0, optimizer_seconds = 0.0;
    std::atomic<std::int64_t> steps = 0;

    // The stack of the training thread: return addresses, innermost first. Written on request (stack_trace.hpp).
    std::array<std::atomic<void*>, frames_kept> frames = {};
    std::atomic<std::int32_t> frame_count = 0;
    std::atomic<bool> doomed = false;  // the rank was given up: after the next request for its stack it must stop
    std::atomic<bool> ended = false;   // the job has ended: another rank of the node has written the report

    std::atomic<std::int64_t> call_count = 0;  // calls begun so far; also the number of the last one
    std::array<CallRecord, calls_kept> calls;  // ring buffer: call n is at index n % calls_kept
};
static_assert(std::is_standard_layout_v<RankBoard> && std::atomic<double>::is_always_lock_free &&
              std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<RankState>::is_always_lock_free);

// A snapshot of a board. Watchers send it over TCP; it stays valid when the rank has died.
struct RankStatus {
    std::int32_t rank = -1;
    std::int32_t stage = 0;
    std::int64_t pid = 0;
    RankState state = RankState::running;
    std::int32_t signal = 0;
    Phase phase = Phase::start_up;
    std::int64_t step = -1;
    std::int64_t micro_batch = -1;
    std::int64_t calls = 0;       // calls begun so far
    double still_seconds = 0.0;   // since the last progress (moved_nanoseconds)
    double silent_seconds = 0.0;  // since the last heartbeat of its watcher
    PhaseSeconds seconds;         // sum over all steps since the rank started
    std::int64_t steps = 0;       // the number of these steps
    char host[64] = "";
    char call[160] = "";  // the call that blocks the host, else the oldest that the GPU has not finished; else empty
};
static_assert(std::is_trivially_copyable_v<RankStatus>);

// Sets moved_nanoseconds: the rank has made progress. Returns the seconds since the board was made. Any thread.
double mark_progress(RankBoard& board);
// Records that this rank's NCCL calls failed and were aborted. The rank's watcher then reports it and ends the job.
// `why` is cut to 399 bytes. Any thread.
void mark_gpu_failed(RankBoard& board, const std::string& why);
// Adds (+=) the seconds of one step. Training thread only; any thread or process may read at the same time.
void add_step(RankBoard& board, const PhaseSeconds& seconds);

std::int64_t monotonic_nanoseconds();            // steady clock; all processes of a node share its zero
double seconds_since(std::int64_t nanoseconds);  // since a time of monotonic_nanoseconds()
// A snapshot. Any thread or process. now_nanoseconds: from monotonic_nanoseconds().
RankStatus read_status(const RankBoard& board, std::int64_t now_nanoseconds);
// "step 12, micro-batch 1, forward", "step 12, reduction, waiting 3.2 s in all_reduce of gradients over data (…)"
std::string text_of(const RankStatus& status);

// Fills in the identity of this process and sets magic: other processes may read the board from now on.
void open_board(RankBoard& board, int rank, int size);
// When the process `pid` started, in clock ticks since boot; 0: there is no such process.
std::int64_t process_start_ticks(pid_t pid);
constexpr std::uint64_t board_magic = 0x67706173'626f3033;  // "gpasbo03"

}  // namespace gpas
