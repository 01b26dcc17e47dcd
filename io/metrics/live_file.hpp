// live.json in the directory of a run: the present state of the ranks, for `gpas top` and for other programs. Its field
// "owner" names the start of the run that owns the directory. docs/watching.md describes the file.
#pragma once

#include "parallel/board/rank_board.hpp"

#include <array>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace gpas {

// The fields that do not change during a run.
struct LiveRun {
    std::string name;
    std::string job;           // the scheduler's id of the job; empty: no scheduler
    std::int64_t attempt = 0;  // number of restarts of the job
    std::int64_t steps_total = 0;
};

// Computes recent seconds per step from the totals that ranks report.
class RecentSeconds {
public:
    // Mean seconds per step of this rank, over the steps since the previous call for the rank. If the rank has done no
    // step since then, the previous result.
    PhaseSeconds of(const RankStatus& rank);

private:
    struct Before {
        std::int64_t steps = 0;
        PhaseSeconds seconds;
        PhaseSeconds per_step;
    };
    std::map<int, Before> before_;
};

class LiveFile {
public:
    // Writes the file, and thereby takes over the directory. If a process of an earlier start is still alive there,
    // calls notice(line) and gives that process 5 seconds to end. Then a background thread writes the file every two
    // seconds.
    //
    // ranks: returns the state of all ranks. The constructor and the background thread call it.
    //
    // taken_over: called once, by the background thread, if a later start owns the directory. The file is then no
    // longer written.
    //
    // Error(environment) if the file cannot be written. Later write errors are ignored.
    LiveFile(const std::filesystem::path& directory, LiveRun run, std::function<std::vector<RankStatus>()> ranks,
             std::function<void()> taken_over, const std::function<void(const std::string&)>& notice);
    // Writes the file a last time, with the state that end() set, or "failed".
    ~LiveFile();
    LiveFile(const LiveFile&) = delete;
    LiveFile& operator=(const LiveFile&) = delete;

    // Sets the state ("ended" or "failed") and the exit code that the destructor writes. Thread-safe.
    void end(const std::string& state, int exit_code);

    // Whether a later start owns the directory. Reads the file. Thread-safe.
    bool owned_by_another() const;

private:
    void write_on();
    std::string text(bool last);

    std::filesystem::path file_;
    LiveRun run_;
    std::function<std::vector<RankStatus>()> ranks_;
    std::function<void()> taken_over_;
    std::string owner_;     // random name of this start
    double started_ = 0.0;  // seconds since 1970
    std::mutex mutex_;      // guards the members below
    std::condition_variable changed_;
    RecentSeconds recent_;
    bool over_ = false;
    std::string state_ = "failed";  // final state, unless end() sets another
    std::optional<int> exit_code_;
    std::thread thread_;
};

}  // namespace gpas
