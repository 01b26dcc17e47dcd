// Boards in the shared memory of a node: this rank's own, and those of the node's other ranks.
#pragma once

#include "parallel/board/rank_board.hpp"

#include <filesystem>
#include <map>
#include <string>
#include <utility>

namespace gpas {

// A mapped board, of this rank or of another. The destructor unmaps it; the rank that made the file also removes it.
class MappedBoard {
public:
    MappedBoard() = default;
    MappedBoard(MappedBoard&& other) noexcept;
    MappedBoard& operator=(MappedBoard&& other) noexcept;
    ~MappedBoard();

    explicit operator bool() const { return board_ != nullptr; }
    RankBoard& operator*() const { return *board_; }
    RankBoard* operator->() const { return board_; }
    const std::filesystem::path& file() const { return file_; }

private:
    friend class BoardDirectory;
    RankBoard* board_ = nullptr;
    std::filesystem::path file_;
    bool unlink_ = false;  // this process made the file, and removes it
};

// The boards of one job on this node: files gpas.<uid>.<job>.<rank> in /dev/shm, which only this user can read.
class BoardDirectory {
public:
    explicit BoardDirectory(const std::string& job_key, std::filesystem::path directory = "/dev/shm");

    // Makes the board of this rank; open_board() then fills it in. If shared memory is not available, the board is in
    // private memory, which other processes cannot see, and *note = the reason. std::bad_alloc if there is no memory.
    MappedBoard make(int rank, std::string* note = nullptr) const;
    // boards += the boards of other ranks that are not in it yet. Only boards of this user that are opened.
    void find_others(int own_rank, std::map<int, MappedBoard>& boards) const;
    // Removes the boards of this user's other jobs whose process no longer exists: killed processes leave them. Boards
    // of this job stay, because they show how its ranks died.
    void remove_leftovers() const;

private:
    std::string prefix() const;  // of the file names of all jobs of this user

    std::filesystem::path directory_;
    std::string job_;
};

}  // namespace gpas
