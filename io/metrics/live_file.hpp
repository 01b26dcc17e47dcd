// live.json in a run's directory: what its ranks are doing now, for `gpas top` and for other programs; and, by the name
// in it, which start of the run owns the directory. docs/watching.md describes it.
#pragma once

#include "parallel/watch/rank_board.hpp"

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

// What stays the same.
struct LiveRun {
    std::string name;
    std::string job;           // of the scheduler; empty: none
    std::int64_t attempt = 0;  // restarts of it
    std::int64_t steps_total = 0;
};

// Seconds of a step of each rank, over the steps since it was last asked.
class RecentSeconds {
public:
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
    // Takes the directory over: where a process of an earlier start still lives there, it is given the time to notice,
    // and `notice` says so. ranks: asked for by a thread of its own every two seconds. taken_over: called once by that
    // thread when a later start owns the directory; the file is not written any more. Error(environment) where it
    // cannot be written at all; later such failures pass.
    LiveFile(const std::filesystem::path& directory, LiveRun run, std::function<std::vector<RankStatus>()> ranks,
             std::function<void()> taken_over, const std::function<void(const std::string&)>& notice);
    // The last word is what end() said, or "failed".
    ~LiveFile();
    LiveFile(const LiveFile&) = delete;
    LiveFile& operator=(const LiveFile&) = delete;

    void end(const std::string& state, int exit_code);

    // Whether a later start owns the directory. Reads the file.
    bool owned_by_another() const;

private:
    void write_on();
    std::string text(bool last);

    std::filesystem::path file_;
    LiveRun run_;
    std::function<std::vector<RankStatus>()> ranks_;
    std::function<void()> taken_over_;
    std::string owner_;     // name of this start
    double started_ = 0.0;  // seconds since 1970
    std::mutex mutex_;      // of what follows
    std::condition_variable changed_;
    RecentSeconds recent_;
    bool over_ = false;
    std::string state_ = "failed";  // in the end, if nothing else is said
    std::optional<int> exit_code_;
    std::thread thread_;
};

}  // namespace gpas
