// What a program sets about its watcher.
#pragma once

#include "parallel/watch/finding.hpp"

#include <filesystem>
#include <functional>

namespace gpas {

struct WatchSettings {
    WatchLimits limits;
    std::filesystem::path directory;  // the run's; reports are written to <directory>/failures. Empty: only to stderr
    bool takes_signals = false;       // true: signals request a stop (stop_signals.hpp). false: they end the process
    // Fills in limits and directory from the configuration. Watcher::read_settings() calls it when the rank is already
    // watched, so that a rank that hangs in a file system is detected. Empty: the settings are complete.
    std::function<void(WatchSettings&)> read = {};
};

}  // namespace gpas
