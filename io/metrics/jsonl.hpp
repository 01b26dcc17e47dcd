// metrics.jsonl: one JSON object per line, in the order of steps, without duplicates across resumed runs.
#pragma once

#include "io/metrics/append_file.hpp"
#include "io/metrics/metrics.hpp"

namespace gpas {

// Prepares the file for a run that has done `resumed_step` steps. Records of later steps move to the end of
// metrics.abandoned.jsonl beside it, under a line {"kind":"abandoned","resumed_step":…,"time":…}; a torn last line is
// dropped. With resumed_step 0 an existing file is kept under the next free name metrics.<n>.jsonl.
// The file is always a new one (written, then renamed), and is returned open: what another process of the run that
// still lives, or was started at the same moment, has open is another file. Error(environment).
std::unique_ptr<AppendFile> prepare_jsonl(const std::filesystem::path& file, std::int64_t resumed_step);

class JsonlSink final : public MetricsSink {
public:
    JsonlSink(const std::filesystem::path& file, std::int64_t resumed_step);
    void write(const StepMetrics& metrics) override;
    void write(const EvalMetrics& metrics) override;
    void write(const GpasMetrics& metrics) override;
    void write(const EventMetrics& metrics) override;
    void flush() override { file_->sync(); }

private:
    std::unique_ptr<AppendFile> file_;
};

}  // namespace gpas
