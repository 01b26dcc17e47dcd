// TensorBoard event files, written by hand: TFRecord frames around Event messages that hold scalars.
#pragma once

#include "io/metrics/append_file.hpp"
#include "io/metrics/metrics.hpp"

#include <string_view>
#include <utility>

namespace gpas {

std::uint32_t crc32c(std::string_view bytes);  // Castagnoli, as in RFC 3720
// length, masked CRC of the length, data, masked CRC of the data; little-endian.
std::string tfrecord(std::string_view data);

class TensorboardSink final : public MetricsSink {
public:
    // A new file events.out.tfevents.<time>... in the directory. Its session starts at step resumed_step + 1, which
    // makes TensorBoard forget what older files in the directory hold from there on. Error(environment).
    TensorboardSink(const std::filesystem::path& directory, std::int64_t resumed_step);
    void write(const StepMetrics& metrics) override;
    void write(const EvalMetrics& metrics) override;
    void write(const GpasMetrics& metrics) override;
    void write(const EventMetrics& metrics) override;
    void flush() override { file_.sync(); }

private:
    void write_scalars(std::int64_t step, const std::vector<std::pair<std::string, double>>& scalars);

    AppendFile file_;
};

}  // namespace gpas
