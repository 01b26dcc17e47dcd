// metrics.jsonl: one JSON object a line, in the order of steps, without duplicates across resumed runs.
#pragma once

#include "io/metrics/append_file.hpp"
#include "io/metrics/metrics.hpp"

namespace gpas {

// Readies the file for a run that has done `resumed_step` steps: records of later steps and a torn last line are
// dropped (by writing a new file and renaming it). With resumed_step 0 an existing file is kept under the next free
// name metrics.<n>.jsonl. Error(environment).
void prepare_jsonl(const std::filesystem::path& file, std::int64_t resumed_step);

class JsonlSink final : public MetricsSink {
public:
    JsonlSink(const std::filesystem::path& file, std::int64_t resumed_step);
    void write(const StepMetrics& metrics) override;
    void write(const EvalMetrics& metrics) override;
    void write(const GpasMetrics& metrics) override;
    void write(const EventMetrics& metrics) override;
    void flush() override { file_.sync(); }

private:
    AppendFile file_;
};

}  // namespace gpas
