// The log of a rank's last communicator calls, with the phase, step and micro-batch it is in: the data that explains a
// hang. (PyTorch's counterpart is the NCCL flight recorder.) All groups that were split off one world share one log.
// The log is stored in the rank's board, in shared memory, where the other processes of the node can read it.
#pragma once

#include "parallel/watch/rank_board.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace gpas {

class LastActs;
class Rehearsal;

// A copy of one call of the log.
struct CommCall {
    std::int64_t number = 0;  // 1, 2, … in the order of this rank's calls
    std::string group;        // "data"
    std::string op;           // "all_reduce"
    std::string what;         // "gradients"
    std::string data;         // "fp32[1024]"; for MPI point-to-point calls with the peer: "fp32[1024] to rank 3"
    std::int64_t step = -1;   // training step, from 1; -1: outside a step
    std::int64_t micro_batch = -1;
    double start_seconds = 0.0;  // since the board was made
    double end_seconds = -1.0;   // -1: not finished
};

std::string text_of(const CommCall& call);  // "all_reduce of gradients over data (fp32[1024], step 3, micro-batch 1)"
// The call with this number. The log keeps the last RankBoard::calls_kept calls; for an older one the copy has this
// number and the text "a call of long ago". Any thread or process, while the rank writes.
CommCall read_call(const RankBoard& board, std::int64_t number);
// The kept calls, oldest first. Any thread or process, while the rank writes.
std::vector<CommCall> read_calls(const RankBoard& board);

struct CommSettings {
    double timeout_seconds = 600.0;   // longest wait; 0: no limit
    bool verify = true;               // MPI ranks compare their collectives before data moves
    std::filesystem::path directory;  // for the file with the last calls, written after a timeout; empty: no file
};

// Thread safety: the training thread makes the calls, except those marked "any thread".
class CommLog {
public:
    static constexpr std::size_t capacity = RankBoard::calls_kept;

    CommLog();                           // makes its own board, which no other process sees
    explicit CommLog(RankBoard& board);  // the board must outlive the log

    CommSettings settings;
    std::shared_ptr<Rehearsal> rehearsal;  // a failure to inject (GPAS_REHEARSE); null: no failure
    std::shared_ptr<LastActs> last_acts;   // run before a watcher ends the process; null: the process has no watcher

    // Sets the phase, step and micro-batch of the rank. Calls that begin later carry this step and micro-batch.
    void enter(Phase phase, std::int64_t step, std::int64_t micro_batch = -1);
    void enter(Phase phase);  // step unchanged, no micro-batch
    // Sets step and micro-batch only.
    void set_place(std::int64_t step, std::int64_t micro_batch);
    // Adds a call and returns its number.
    std::int64_t begin(const std::string& group, const char* op, const char* what, const std::string& data);
    void end(std::int64_t number);  // any thread
    // wait(): the host is blocked until this call ends. waited(): the host is no longer blocked.
    void wait(std::int64_t number);
    void waited();

    // Sets the oldest call that was enqueued on this rank's GPU and has not finished there; 0: all have. Any thread.
    void set_gpu_call(std::int64_t number);
    // Records that this rank's NCCL calls failed and were aborted. The rank's watcher then reports it and ends the job.
    // `why` is cut to 399 bytes. Any thread.
    void gpu_failed(const std::string& why);

    std::vector<CommCall> last() const { return read_calls(*board_); }
    CommCall call(std::int64_t number) const { return read_call(*board_, number); }
    RankBoard& board() { return *board_; }
    // Writes the kept calls to <settings.directory>/calls_rank_<rank>.txt. Returns the path. Returns an empty path if
    // no directory is set or the file cannot be written; it does not throw, because an error is already being reported.
    std::filesystem::path write(int rank) const;

private:
    // Seconds since the board was made. Also sets moved_nanoseconds: the rank has made progress.
    double now();

    std::unique_ptr<RankBoard> own_;
    RankBoard* board_;
};

}  // namespace gpas
