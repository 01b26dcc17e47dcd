// Boards in the shared memory of a node: a rank's own, and those of the ranks beside it.
#pragma once

#include "parallel/watch/rank_board.hpp"

#include <filesystem>
#include <map>
#include <string>
#include <utility>

namespace gpas {

// A board that is mapped, its own or somebody's. Its file's name is gone with the last owner.
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
    bool unlink_ = false;  // by whoever made it
};

// The boards of one job on this node: files gpas.<user>.<job>.<rank> in /dev/shm, readable by this user only.
class BoardDirectory {
public:
    explicit BoardDirectory(const std::string& job_key, std::filesystem::path directory = "/dev/shm");

    // A new board, not yet opened (open_board). Where shared memory cannot be had it is this process's own, and `note`
    // says why: others cannot see it then.
    MappedBoard make(int rank, std::string* note = nullptr) const;
    // Adds those that have come since. Only what is whole and this user's.
    void find_others(int own_rank, std::map<int, MappedBoard>& boards) const;
    // Files of processes of this user that are no more, of other jobs: killed ones leave theirs. Those of this job are
    // still to be seen.
    void remove_leftovers() const;

private:
    std::string prefix() const;  // of all jobs of this user

    std::filesystem::path directory_;
    std::string job_;
};

}  // namespace gpas
