// What this rank is doing, and what it said to others: the last calls, for whoever has to find out why a job stands
// still. One for all groups that descend from one world. It is stored on the rank's board, which others can read.
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

struct CommCall {
    std::int64_t number = 0;  // 1, 2, … of this rank
    std::string group;        // "data"
    std::string op;           // "all_reduce"
    std::string what;         // "gradients"
    std::string data;         // "fp32[1024]"; of point-to-point calls with the peer: "fp32[1024] to rank 3"
    std::int64_t step = -1;   // of the run, from 1; -1: not in a step
    std::int64_t micro_batch = -1;
    double start_seconds = 0.0;  // since the log began
    double end_seconds = -1.0;   // -1: not finished
};

std::string text_of(const CommCall& call);  // "all_reduce of gradients over data (fp32[1024], step 3, micro-batch 1)"
// This call, if it is still among the last.
CommCall read_call(const RankBoard& board, std::int64_t number);
// The last calls, oldest first.
std::vector<CommCall> read_calls(const RankBoard& board);

struct CommSettings {
    double timeout_seconds = 600.0;   // longest wait; 0: no limit
    bool verify = true;               // ranks compare what they call before data moves
    std::filesystem::path directory;  // where the last calls are written when a wait takes too long; empty: nowhere
};

class CommLog {
public:
    static constexpr std::size_t capacity = RankBoard::calls_kept;

    CommLog();                           // on a board of its own
    explicit CommLog(RankBoard& board);  // which outlives it

    CommSettings settings;
    std::shared_ptr<Rehearsal> rehearsal;  // of a failure; nothing where none is asked for
    std::shared_ptr<LastActs> last_acts;   // of the process; nothing where no watcher ends it

    // Where the program is; goes into the calls that follow.
    void enter(Phase phase, std::int64_t step, std::int64_t micro_batch = -1);
    void enter(Phase phase);  // of the same step
    // The same without a change of phase.
    void set_place(std::int64_t step, std::int64_t micro_batch);
    // Returns the call's number.
    std::int64_t begin(const std::string& group, const char* op, const char* what, const std::string& data);
    void end(std::int64_t number);  // any thread
    // The program waits for this call to end; and it no longer does.
    void wait(std::int64_t number);
    void waited();

    // The oldest call that was enqueued on this rank's GPU and is not finished there; 0: there is none. Any thread.
    void set_gpu_call(std::int64_t number);
    // Calls of this rank's GPU have failed, and are given up: the rank's watcher reports it and ends the job. Any thread.
    void gpu_failed(const std::string& why);

    std::vector<CommCall> last() const { return read_calls(*board_); }
    CommCall call(std::int64_t number) const { return read_call(*board_, number); }
    RankBoard& board() { return *board_; }
    // Writes the last calls to <directory>/calls_rank_<rank>.txt, if a directory is set. Returns the file, or nothing
    // if it could not be written: this is for reports of something worse.
    std::filesystem::path write(int rank) const;

private:
    double now();  // and marks that the rank has moved

    std::unique_ptr<RankBoard> own_;
    RankBoard* board_;
};

}  // namespace gpas
