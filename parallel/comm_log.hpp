// What this rank said to others, and how it waits for them: the last calls, for whoever has to find out why a job
// stands still. One for all groups that descend from one world.
#pragma once

#include "kernels/tensor.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace gpas {

struct CommCall {
    std::int64_t number = 0;  // 1, 2, … of this rank
    std::string group;        // "data"
    const char* op = "";      // "all_reduce"
    const char* what = "";    // "gradients"
    std::string data;         // "fp32[1024]"; of point-to-point calls with the peer: "fp32[1024] to rank 3"
    std::int64_t step = -1;   // of the run, from 1; -1: not in a step
    std::int64_t micro_batch = -1;
    double start_seconds = 0.0;  // since the log began
    double end_seconds = -1.0;   // -1: not finished
};

std::string text_of(const CommCall& call);  // "all_reduce of gradients over data (fp32[1024], step 3, micro-batch 1)"

struct CommSettings {
    double timeout_seconds = 600.0;   // longest wait; 0: for ever
    bool verify = true;               // ranks compare what they call before data moves
    std::filesystem::path directory;  // where the last calls are written when a wait takes too long; empty: nowhere
};

class CommLog {
public:
    static constexpr std::size_t capacity = 256;

    CommSettings settings;

    // Where the program is; goes into the calls that follow.
    void set_place(std::int64_t step, std::int64_t micro_batch);
    // Returns the call's number.
    std::int64_t begin(const std::string& group, const char* op, const char* what, std::string data);
    void end(std::int64_t number);
    // The last calls, oldest first.
    std::vector<CommCall> last() const;
    // This call, if it is still among the last.
    CommCall call(std::int64_t number) const;
    // Writes the last calls to <directory>/calls_rank_<rank>.txt, if a directory is set. Returns the file, or nothing
    // if it could not be written: this is for reports of something worse.
    std::filesystem::path write(int rank) const;

private:
    double now() const;

    std::vector<CommCall> calls_;  // a ring: number n stands at n % capacity
    std::int64_t count_ = 0;
    std::int64_t step_ = -1;
    std::int64_t micro_batch_ = -1;
    std::int64_t started_nanoseconds_ = 0;
};

}  // namespace gpas
