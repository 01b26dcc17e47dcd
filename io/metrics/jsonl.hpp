// metrics.jsonl: one JSON object per line, in the order of steps. After a resume it contains no step twice.
#pragma once

#include "io/metrics/append_file.hpp"
#include "io/metrics/metrics.hpp"

namespace gpas {

// Prepares the file for a run that continues after step `resumed_step`, and returns it open. Records of later steps
// move to the end of metrics.abandoned.jsonl in the same directory, after a line
// {"kind":"abandoned","resumed_step":…,"time":…}. An incomplete last line is removed. If resumed_step is 0, an existing
// file is renamed to the next free name metrics.<n>.jsonl.
//
// The returned file is always new (written, then renamed). So another process of the run that is still alive, or
// started at the same time, writes to a different file. Error(environment).
std::unique_ptr<AppendFile> prepare_jsonl(const std::filesystem::path& file, std::int64_t resumed_step);

class JsonlSink final : public MetricsSink {
public:
    JsonlSink(const std::filesystem::path& file, std::int64_t resumed_step);  // as prepare_jsonl
    void write(const StepMetrics& metrics) override;
    void write(const EvalMetrics& metrics) override;
    void write(const TaskMetrics& metrics) override;
    void write(const GpasMetrics& metrics) override;
    void write(const EventMetrics& metrics) override;
    void flush() override { file_->sync(); }

private:
    std::unique_ptr<AppendFile> file_;
};

}  // namespace gpas
