#include "engine/run/stop.hpp"

#include <algorithm>
#include <chrono>
#include <limits>

namespace gpas {

StopClock::StopClock(const Watcher* watcher, double margin_seconds)
    : watcher_(watcher), margin_seconds_(margin_seconds) {}

StopRequest StopClock::after_step(double seconds) {
    longest_ = std::max(seconds, 0.95 * longest_);
    if (watcher_ == nullptr) return StopRequest::none;
    const StopRequest asked = watcher_->stop_request();
    if (asked != StopRequest::none) return asked;
    return seconds_left() < margin_seconds_ + longest_ ? StopRequest::unfinished : StopRequest::none;
}

StopRequest StopClock::now() const {
    if (watcher_ == nullptr) return StopRequest::none;
    const StopRequest asked = watcher_->stop_request();
    if (asked != StopRequest::none) return asked;
    return seconds_left() < margin_seconds_ ? StopRequest::unfinished : StopRequest::none;
}

double StopClock::seconds_left() const {
    if (watcher_ == nullptr || !watcher_->launch().end_time) return std::numeric_limits<double>::infinity();
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return *watcher_->launch().end_time - std::chrono::duration<double>(now).count();
}

}  // namespace gpas
