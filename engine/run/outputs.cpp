#include "engine/run/outputs.hpp"

#include <filesystem>
#include <fstream>
#include <utility>

namespace gpas {

RunOutputs::RunOutputs(const RunConfig& config, int rank, Watcher* watcher,
                       std::function<void(const std::string&)> notice)
    : config_(config), rank_(rank), watcher_(watcher), notice_(std::move(notice)) {}

void RunOutputs::take_directory() {
    if (rank_ != 0) return;
    const std::filesystem::path directory(config_.directory);
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error)
        fail(ExitCode::environment, "{}: cannot be made: {}; check `directory`", directory.string(), error.message());
    if (watcher_ == nullptr) return;
    const Launch& launch = watcher_->launch();
    live_ = std::make_unique<LiveFile>(
        directory,
        LiveRun{.name = config_.name,
                .job = launch.job_id,
                .attempt = launch.attempt,
                .steps_total = config_.training.steps},
        [watcher = watcher_] { return watcher->ranks(); }, [watcher = watcher_] { watcher->superseded(); }, notice_);
}

void RunOutputs::open(const std::string& config_text, std::int64_t step) {
    if (rank_ != 0) return;
    const std::filesystem::path path = std::filesystem::path(config_.directory) / "config.yaml";
    std::ofstream file(path);
    file << config_text;
    if (!file.flush()) fail(ExitCode::environment, "{}: cannot be written", path.string());
    reopen_metrics(step);
}

void RunOutputs::reopen_metrics(std::int64_t step) {
    if (rank_ != 0) return;
    metrics_.reset();
    if (owned_by_another()) return;  // the records of the later start are there now, and this start is about to end
    metrics_.emplace(MetricsOptions{.directory = config_.directory,
                                    .jsonl = config_.metrics.jsonl,
                                    .tensorboard = config_.metrics.tensorboard,
                                    .every = config_.metrics.every,
                                    .resumed_step = step});
}

void RunOutputs::flush() {
    if (metrics_) metrics_->flush();
}

void RunOutputs::end(const std::string& state, ExitCode code) {
    if (live_) live_->end(state, int(code));
}

}  // namespace gpas
