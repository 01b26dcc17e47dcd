// Writes TensorBoard event files without TensorFlow: TFRecord frames that contain Event messages with scalars.
#pragma once

#include "io/metrics/append_file.hpp"
#include "io/metrics/metrics.hpp"

#include <string_view>
#include <utility>

namespace gpas {

std::uint32_t crc32c(std::string_view bytes);  // CRC-32C (Castagnoli), as in RFC 3720
// The frame of a record: length, masked CRC of the length, data, masked CRC of the data; little-endian.
std::string tfrecord(std::string_view data);

class TensorboardSink final : public MetricsSink {
public:
    // Creates a new file events.out.tfevents.<time>... in the directory. The file marks the start of a session at step
    // resumed_step + 1, so that TensorBoard discards older records from this step on. Error(environment).
    TensorboardSink(const std::filesystem::path& directory, std::int64_t resumed_step);
    void write(const StepMetrics& metrics) override;
    void write(const EvalMetrics& metrics) override;
    void write(const TaskMetrics& metrics) override;
    void write(const GpasMetrics& metrics) override;
    void write(const EventMetrics& metrics) override;
    void flush() override { file_.sync(); }

private:
    void write_scalars(std::int64_t step, const std::vector<std::pair<std::string, double>>& scalars);

    AppendFile file_;
};

}  // namespace gpas
