// The log of a rank's last communicator calls: the data that explains a hang. (PyTorch's counterpart is the NCCL flight
// recorder.) The log is stored in the rank's board, in shared memory, where the other processes of the node can read
// it.
#pragma once

#include "parallel/board/rank_board.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace gpas {

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

// Writes the log. Thread safety: the training thread calls begin(); any thread may call the other functions.
class CallLog {
public:
    static constexpr std::size_t capacity = RankBoard::calls_kept;

    explicit CallLog(RankBoard& board) : board_(board) {}  // the board must outlive the log

    // Adds a call, in the step and micro-batch that the board shows, and returns its number.
    std::int64_t begin(const std::string& group, const char* op, const char* what, const std::string& data);
    void end(std::int64_t number);

    std::vector<CommCall> last() const { return read_calls(board_); }
    CommCall call(std::int64_t number) const { return read_call(board_, number); }
    // Writes the kept calls to <directory>/calls_rank_<rank>.txt. Returns the path. Returns an empty path if `directory`
    // is empty or the file cannot be written; it does not throw, because an error is already being reported.
    std::filesystem::path write(const std::filesystem::path& directory, int rank) const;

private:
    RankBoard& board_;
};

}  // namespace gpas
