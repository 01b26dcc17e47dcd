// Where a thread stands, asked from outside: its process writes the return addresses to its board when it gets a
// signal, and whoever asked turns them into names.
#pragma once

#include "parallel/watch/rank_board.hpp"

#include <string>
#include <vector>

namespace gpas {

// While it lives, this process answers for `board`, and notes there when it crashes or when somebody calls exit(). One
// at a time a process. Made by the thread whose stack will be asked for.
class StackAnswers {
public:
    explicit StackAnswers(RankBoard& board);
    ~StackAnswers();
    StackAnswers(const StackAnswers&) = delete;
    StackAnswers& operator=(const StackAnswers&) = delete;
    // Takes crashes over from handlers that others have installed since (MPI does): they follow after ours.
    void watch_crashes();
};

// Asks the process of this board, which lives on this node. With `doom` it is woken where it is stopped, and ends once
// it has answered. Whether an answer came within the time.
bool ask_for_stack(RankBoard& board, bool doom, double seconds);
// One line a frame, innermost first: "gpas::Model::forward(…) + 0x12 (gpas)". Of a process that still lives, since
// where its program lies is read from /proc.
std::vector<std::string> stack_lines(const RankBoard& board);

}  // namespace gpas
