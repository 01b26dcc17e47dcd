#include "io/metrics/tensorboard.hpp"

#include "base/error.hpp"
#include "base/host_name.hpp"
#include "base/wall_clock.hpp"
#include "io/metrics/fields.hpp"

#include <array>
#include <chrono>
#include <cstring>

#include <unistd.h>

namespace gpas {
namespace {

using std::filesystem::path;

constexpr std::array<std::uint32_t, 256> crc_table = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t crc = i;
        for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
        table[i] = crc;
    }
    return table;
}();

// The masked CRC of the TFRecord format, which it uses because the CRC of data that contain their own CRC is weak.
std::uint32_t masked_crc(std::string_view bytes) {
    const std::uint32_t crc = crc32c(bytes);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

template <class T>
std::string little_endian(T value) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

// The parts of Protocol Buffers' wire format that an Event needs. Field numbers are those of event.proto and
// summary.proto.
enum WireType { varint_type = 0, fixed64_type = 1, bytes_type = 2, fixed32_type = 5 };

std::string varint(std::uint64_t value) {
    std::string bytes;
    for (; value >= 0x80; value >>= 7) bytes += char((value & 0x7f) | 0x80);
    return bytes + char(value);
}

std::string key(unsigned field, WireType type) { return varint(field << 3 | type); }
std::string bytes_field(unsigned field, std::string_view bytes) {
    return (key(field, bytes_type) + varint(bytes.size())).append(bytes);
}
std::string integer_field(unsigned field, std::int64_t value) {
    return key(field, varint_type) + varint(std::uint64_t(value));
}
std::string float_field(unsigned field, float value) { return key(field, fixed32_type) + little_endian(value); }
std::string double_field(unsigned field, double value) { return key(field, fixed64_type) + little_endian(value); }

// Event { double wall_time = 1; int64 step = 2; what }
std::string event(std::int64_t step, const std::string& what) {
    return double_field(1, seconds_since_1970()) + integer_field(2, step) + what;
}
std::string file_version() { return bytes_field(3, "brain.Event:2"); }
// SessionLog { START = 1 } = 7
std::string session_start() { return bytes_field(7, integer_field(1, 1)); }
// Summary.Value { string tag = 1; float simple_value = 2 }, repeated as field 1 of Summary
std::string summary_value(const std::string& tag, double value) {
    return bytes_field(1, bytes_field(1, tag) + float_field(2, float(value)));
}
std::string summary(const std::string& values) { return bytes_field(5, values); }

// TensorBoard reads files in the order of their names. So the name begins with the time, and then has a number that
// orders the starts within a second.
path new_file(const path& directory) {
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error) fail(ExitCode::environment, "{}: making the directory: {}", directory.string(), error.message());
    const std::string host = host_name();
    const auto seconds = std::int64_t(seconds_since_1970());
    for (int n = 0;; ++n) {
        const path file = directory / fmt::format("events.out.tfevents.{:010}.{:03}.{}", seconds, n, host);
        if (!std::filesystem::exists(file)) return file;
    }
}

template <class Metrics>
std::vector<std::pair<std::string, double>> scalars_of(const Metrics& metrics) {
    std::vector<std::pair<std::string, double>> scalars;
    for_each_scalar(metrics,
                    [&](const char*, const char* tag, auto value) { scalars.emplace_back(tag, double(value)); });
    return scalars;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
    std::uint32_t crc = ~0u;
    for (char byte : bytes) crc = crc >> 8 ^ crc_table[(crc ^ std::uint8_t(byte)) & 0xff];
    return ~crc;
}

std::string tfrecord(std::string_view data) {
    const std::string length = little_endian(std::uint64_t(data.size()));
    return length + little_endian(masked_crc(length)) + std::string(data) + little_endian(masked_crc(data));
}

TensorboardSink::TensorboardSink(const path& directory, std::int64_t resumed_step) : file_(new_file(directory)) {
    file_.append(tfrecord(event(0, file_version())));
    file_.append(tfrecord(event(resumed_step + 1, session_start())));
}

void TensorboardSink::write_scalars(std::int64_t step, const std::vector<std::pair<std::string, double>>& scalars) {
    std::string values;
    for (const auto& [tag, value] : scalars) values += summary_value(tag, value);
    file_.append(tfrecord(event(step, summary(values))));
}

void TensorboardSink::write(const StepMetrics& metrics) { write_scalars(metrics.step, scalars_of(metrics)); }

void TensorboardSink::write(const EvalMetrics& metrics) { write_scalars(metrics.step, scalars_of(metrics)); }

void TensorboardSink::write(const TaskMetrics& metrics) {
    std::vector<std::pair<std::string, double>> scalars;
    for_each_scalar(metrics, [&](const char* key, auto value) {
        scalars.emplace_back(fmt::format("task_{}/{}", metrics.task, key), double(value));
    });
    write_scalars(metrics.step, scalars);
}

void TensorboardSink::write(const GpasMetrics& metrics) {
    std::vector<std::pair<std::string, double>> scalars;
    // Layers have leading zeros, so that TensorBoard sorts them.
    for (const GateReading& gate : metrics.gates) {
        scalars.emplace_back(fmt::format("gpas_gate/{:03}_{}", gate.layer, gate.site), gate.raw);
        scalars.emplace_back(fmt::format("gpas_value/{:03}_{}", gate.layer, gate.site), gate.value);
    }
    for (const VarianceReading& reading : metrics.variances)
        scalars.emplace_back(fmt::format("residual_variance/{:03}_{}", reading.layer, reading.site), reading.variance);
    write_scalars(metrics.step, scalars);
}

void TensorboardSink::write(const EventMetrics& metrics) {
    write_scalars(metrics.step, {{"events/" + metrics.event, 1.0}});
}

}  // namespace gpas
