#include "io/metrics/live_file.hpp"

#include "base/error.hpp"
#include "base/host_name.hpp"
#include "base/wall_clock.hpp"
#include "io/metrics/append_file.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <fstream>
#include <random>

namespace gpas {
namespace {

using Json = nlohmann::ordered_json;
using std::filesystem::path;

constexpr auto period = std::chrono::seconds(2);
// An earlier start that is alive writes the file within this time. After it has lost the directory, it ends within this
// time.
constexpr auto sign_of_life = std::chrono::seconds(5);
constexpr double long_ago_seconds = 30.0;  // larger than the clock differences between nodes

Json read_json(const path& file) {
    std::ifstream in(file);
    return Json::parse(in, nullptr, false);
}

void replace(const path& file, const std::string& text) {
    path temporary = file;
    temporary += fmt::format(".{}.tmp", getpid());
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    AppendFile(temporary).append(text);
    std::filesystem::rename(temporary, file);
}

// Whether the process that wrote this file may still be alive.
bool may_live(const Json& live) {
    if (!live.is_object() || !live.contains("owner") || !live.contains("time")) return false;
    const std::string state = live.value("state", "");
    if (state == "ended" || state == "failed" || seconds_since_1970() - live.value("time", 0.0) > long_ago_seconds)
        return false;
    const int pid = live.value("pid", 0);
    return live.value("host", "") != host_name() || kill(pid, 0) == 0;
}

// Whether another process still writes the file. Waits up to sign_of_life for a change.
bool changes(const path& file, const Json& before) {
    constexpr auto a_moment = std::chrono::milliseconds(200);
    for (auto waited = std::chrono::milliseconds(0); waited < sign_of_life; waited += a_moment) {
        std::this_thread::sleep_for(a_moment);
        const Json later = read_json(file);
        if (!may_live(later)) return false;
        if (later.value("time", 0.0) != before.value("time", 0.0)) return true;
    }
    return false;
}

const char* state_of(Phase phase) {
    switch (phase) {
        case Phase::start_up: return "starting";
        case Phase::evaluation: return "evaluating";
        case Phase::save: return "saving";
        default: return "training";
    }
}

Json rank_of(const RankStatus& rank, const PhaseSeconds& per_step) {
    return {{"rank", rank.rank},
            {"stage", rank.stage},
            {"host", rank.host},
            {"pid", rank.pid},
            {"phase", name_of(rank.phase)},
            {"step", rank.step},
            {"micro_batch", rank.micro_batch},
            {"call", rank.call},
            {"seconds_in_phase", rank.still_seconds},
            {"silent_seconds", rank.silent_seconds},
            {"seconds",
             {{"data", per_step.data},
              {"compute", per_step.compute},
              {"communication", per_step.communication},
              {"optimizer", per_step.optimizer}}}};
}

}  // namespace

PhaseSeconds RecentSeconds::of(const RankStatus& rank) {
    Before& before = before_[rank.rank];
    const std::int64_t steps = rank.steps - before.steps;
    if (steps <= 0) return before.per_step;
    before.per_step = rank.seconds.since(before.seconds, double(steps));
    before.seconds = rank.seconds;
    before.steps = rank.steps;
    return before.per_step;
}

LiveFile::LiveFile(const path& directory, LiveRun run, std::function<std::vector<RankStatus>()> ranks,
                   std::function<void()> taken_over, const std::function<void(const std::string&)>& notice)
    : file_(directory / "live.json"),
      run_(std::move(run)),
      ranks_(std::move(ranks)),
      taken_over_(std::move(taken_over)),
      owner_(fmt::format("{:08x}{:08x}", std::random_device{}(), std::random_device{}())),
      started_(seconds_since_1970()) {
    const Json before = read_json(file_);
    const bool lives = may_live(before) && changes(file_, before);
    try {
        replace(file_, text(false));
    } catch (const std::filesystem::filesystem_error& error) {
        fail(ExitCode::environment, "{}: {}", file_.string(), error.what());
    }
    if (lives) {
        notice(fmt::format(
            "{}: process {} on {} uses this directory; this start takes over the directory, and the other process ends",
            directory.string(), before.value("pid", 0), before.value("host", "")));
        std::this_thread::sleep_for(sign_of_life);
    }
    thread_ = std::thread([this] { write_on(); });
}

LiveFile::~LiveFile() {
    {
        const std::lock_guard lock(mutex_);
        over_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void LiveFile::end(const std::string& state, int exit_code) {
    const std::lock_guard lock(mutex_);
    state_ = state;
    exit_code_ = exit_code;
}

bool LiveFile::owned_by_another() const {
    const Json found = read_json(file_);
    return found.is_object() && found.value("owner", owner_) != owner_;
}

void LiveFile::write_on() {
    std::unique_lock lock(mutex_);
    for (bool last = false; !last;) {
        changed_.wait_for(lock, period, [this] { return over_; });
        last = over_;
        lock.unlock();
        try {
            if (owned_by_another()) {
                taken_over_();
                return;
            }
            replace(file_, text(last));
        } catch (const std::exception&) {
            // A full or missing disk must not end the run because of this file.
        }
        lock.lock();
    }
}

std::string LiveFile::text(bool last) {
    const std::vector<RankStatus> ranks = ranks_();
    const std::lock_guard lock(mutex_);
    const std::string state = last ? state_ : ranks.empty() ? "starting" : state_of(ranks.front().phase);
    Json live{{"time", seconds_since_1970()},
              {"started", started_},
              {"owner", owner_},
              {"state", state},
              {"job", run_.job},
              {"restart", run_.attempt},
              {"host", host_name()},
              {"pid", getpid()},
              {"name", run_.name},
              {"step", ranks.empty() ? std::int64_t(0) : std::max<std::int64_t>(ranks.front().step, 0)},
              {"steps_total", run_.steps_total},
              {"exit_code", last && exit_code_ ? Json(*exit_code_) : Json()},
              {"ranks", Json::array()}};
    for (const RankStatus& rank : ranks) live["ranks"].push_back(rank_of(rank, recent_.of(rank)));
    return live.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace gpas
