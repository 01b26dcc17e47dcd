// The files of a run that change while the run trains: config.yaml, the metrics and live.json. Rank 0 writes them.
#pragma once

#include "base/error.hpp"
#include "io/config/run_config.hpp"
#include "io/metrics/live_file.hpp"
#include "io/metrics/metrics.hpp"
#include "parallel/watch/watcher.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace gpas {

// On ranks other than 0 every call does nothing. Not thread-safe.
class RunOutputs {
public:
    // Keeps a reference to `config`. watcher: null if ranks are not processes of their own; then there is no live.json.
    // notice: receives one line for the user.
    RunOutputs(const RunConfig& config, int rank, Watcher* watcher, std::function<void(const std::string&)> notice);

    // Makes the run's directory and takes it over: a start of the run that is still alive ends. Error(environment).
    void take_directory();
    // Writes config.yaml and opens the metrics. Records of steps later than `step` are removed. Error(environment).
    void open(const std::string& config_text, std::int64_t step);
    // Opens the metrics again, as open() does: the run has returned to `step`.
    void reopen_metrics(std::int64_t step);

    // True if write() has an effect: on rank 0, once the metrics are open.
    bool writes() const { return metrics_.has_value(); }
    template <class Record>
    void write(const Record& record) {
        if (metrics_) metrics_->write(record);
    }
    // Syncs all metrics records to disk; called before each save.
    void flush();
    // True if a later start of the run has taken the directory over.
    bool owned_by_another() const { return live_ && live_->owned_by_another(); }
    // Writes the final state of the run to live.json. state: "ended" or "failed".
    void end(const std::string& state, ExitCode code);

private:
    const RunConfig& config_;
    int rank_;
    Watcher* watcher_;
    std::function<void(const std::string&)> notice_;
    std::optional<MetricsWriter> metrics_;
    std::unique_ptr<LiveFile> live_;  // destroyed first: its thread reads the watcher
};

}  // namespace gpas
