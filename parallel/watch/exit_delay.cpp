#include "parallel/watch/exit_delay.hpp"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>

#include <unistd.h>

namespace gpas::exit_delay {
namespace {

std::atomic<bool> ending_job = false;
std::atomic<pid_t> watched_process = 0;  // 0: none. A forked child sees its parent's pid

}  // namespace

void set_watched(bool watched) {
    static const bool registered = std::atexit(wait_for_report) == 0;
    (void)registered;
    watched_process = watched ? getpid() : 0;
}

void set_ending_job() { ending_job = true; }
bool is_ending_job() { return ending_job; }

void wait_for_report() {
    // The launcher may report through MPI that another rank is lost, before the watcher has detected the loss itself.
    const auto is_watched = [] { return watched_process == getpid(); };
    constexpr auto a_moment = std::chrono::milliseconds(10);
    for (int i = 0; i < 50 && is_watched() && !ending_job; ++i) std::this_thread::sleep_for(a_moment);
    for (int i = 0; i < 1000 && is_watched() && ending_job; ++i) std::this_thread::sleep_for(a_moment);
}

}  // namespace gpas::exit_delay
