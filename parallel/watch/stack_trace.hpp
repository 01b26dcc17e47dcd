// Stack traces on request of another process. The process that is asked writes the return addresses of its training
// thread to its board, in a signal handler. The process that asks converts them to function names.
#pragma once

#include "parallel/board/rank_board.hpp"

#include <string>
#include <vector>

namespace gpas {

// While this object exists, the process answers requests for its stack on `board`, and records there that it crashes or
// calls exit(). At most one object per process. The main thread makes it; requests are for the main thread's stack.
class StackAnswers {
public:
    explicit StackAnswers(RankBoard& board);
    ~StackAnswers();
    StackAnswers(const StackAnswers&) = delete;
    StackAnswers& operator=(const StackAnswers&) = delete;
    // Installs the crash handlers. Call it after libraries that install their own (MPI): those run after ours.
    void watch_crashes();
};

// Requests the stack of the process of this board, on this node, and waits up to `seconds`. Returns whether
// board.frames holds a stack; for a process that has crashed or ended, that of its crash. doom: also continues a
// stopped process (SIGCONT); after its answer the training thread pauses, so that it writes nothing more.
bool ask_for_stack(RankBoard& board, bool doom, double seconds);
// One line per frame, innermost first: "gpas::Model::forward(…) + 0x12 (gpas)". The process must still exist, because
// the addresses of its program and libraries are read from /proc.
std::vector<std::string> stack_lines(const RankBoard& board);

}  // namespace gpas
