#include "io/metrics/metrics.hpp"

#include "base/error.hpp"
#include "io/metrics/console.hpp"
#include "io/metrics/jsonl.hpp"
#include "io/metrics/tensorboard.hpp"

#include <fmt/format.h>

#include <fstream>

#include <unistd.h>

namespace gpas {

std::int64_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    std::int64_t size_pages = 0, resident_pages = 0;
    if (!(statm >> size_pages >> resident_pages)) return 0;
    return resident_pages * sysconf(_SC_PAGESIZE);
}

MetricsWriter::MetricsWriter(const MetricsOptions& options, bool enabled) : every_(options.every) {
    require(every_ >= 1, "metrics: every {} steps", every_);
    if (!enabled) return;
    std::error_code error;
    std::filesystem::create_directories(options.directory, error);
    if (error) fail(ExitCode::environment, "{}: making the directory: {}", options.directory.string(), error.message());
    if (options.console) add(std::make_unique<ConsoleSink>());
    if (options.jsonl) add(std::make_unique<JsonlSink>(options.directory / "metrics.jsonl", options.resumed_step));
    if (options.tensorboard)
        add(std::make_unique<TensorboardSink>(options.directory / "tensorboard", options.resumed_step));
}

MetricsWriter::~MetricsWriter() = default;
MetricsWriter::MetricsWriter(MetricsWriter&&) noexcept = default;

void MetricsWriter::add(std::unique_ptr<MetricsSink> sink) { sinks_.push_back(std::move(sink)); }

void MetricsWriter::each(const std::function<void(MetricsSink&)>& act) {
    std::erase_if(sinks_, [&](const std::unique_ptr<MetricsSink>& sink) {
        try {
            act(*sink);
            return false;
        } catch (const std::exception& error) {
            fmt::print(stderr, "metrics: {}: no more records are written to this file; the run continues\n",
                       error.what());
            return true;
        }
    });
}

void MetricsWriter::write(StepMetrics metrics) {
    metrics.seconds.evaluation = evaluation_seconds_ += metrics.seconds.evaluation;
    metrics.seconds.checkpoint = checkpoint_seconds_ += metrics.seconds.checkpoint;
    if (metrics.step % every_ != 0 && metrics.step != metrics.steps_total &&
        !(metrics.skipped && metrics.loss_tokens > 0))
        return;
    evaluation_seconds_ = checkpoint_seconds_ = 0.0;
    each([&](MetricsSink& sink) { sink.write(metrics); });
}

void MetricsWriter::write(const EvalMetrics& metrics) {
    each([&](MetricsSink& sink) { sink.write(metrics); });
}

void MetricsWriter::write(const TaskMetrics& metrics) {
    each([&](MetricsSink& sink) { sink.write(metrics); });
}

void MetricsWriter::write(const GpasMetrics& metrics) {
    each([&](MetricsSink& sink) { sink.write(metrics); });
}

void MetricsWriter::write(const EventMetrics& metrics) {
    each([&](MetricsSink& sink) { sink.write(metrics); });
}

void MetricsWriter::flush() {
    each([](MetricsSink& sink) { sink.flush(); });
}

}  // namespace gpas
