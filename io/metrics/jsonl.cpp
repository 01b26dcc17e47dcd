#include "io/metrics/jsonl.hpp"

#include "base/error.hpp"
#include "base/wall_clock.hpp"
#include "io/metrics/fields.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <fstream>
#include <optional>

namespace gpas {
namespace {

using Json = nlohmann::ordered_json;
using std::filesystem::path;

std::string line_of(const Json& record) { return record.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

// The step of a record; nullopt for an incomplete line and for a line of another program.
std::optional<std::int64_t> step_of(const std::string& line) {
    const Json record = Json::parse(line, nullptr, false);
    if (!record.is_object()) return std::nullopt;
    const auto step = record.find("step");
    if (step == record.end() || !step->is_number_integer()) return std::nullopt;
    return step->get<std::int64_t>();
}

void set_aside(const path& file) {
    for (int n = 1;; ++n) {
        path old = file;
        old.replace_extension(fmt::format(".{}.jsonl", n));
        if (std::filesystem::exists(old)) continue;
        std::error_code error;
        std::filesystem::rename(file, old, error);
        if (error && error != std::errc::no_such_file_or_directory)  // missing: another process has renamed it
            fail(ExitCode::environment, "{}: renaming it to {}: {}", file.string(), old.string(), error.message());
        return;
    }
}

// Copies the records up to last_step to `kept`, and all later records to the file of abandoned records.
void rewind(const path& file, std::int64_t last_step, AppendFile& kept) {
    path abandoned = file;
    abandoned.replace_extension(".abandoned.jsonl");
    std::ifstream in(file);
    std::optional<AppendFile> aside;
    for (std::string line; std::getline(in, line);) {
        const auto step = in.eof() ? std::nullopt : step_of(line);  // an incomplete last line has no newline
        if (!step) continue;
        if (*step <= last_step) {
            kept.append(line + "\n");
            continue;
        }
        if (!aside) {
            aside.emplace(abandoned);
            aside->append(
                line_of({{"kind", "abandoned"}, {"resumed_step", last_step}, {"time", seconds_since_1970()}}));
        }
        aside->append(line + "\n");
    }
    if (aside) aside->sync();
    kept.sync();
}

template <class Metrics>
Json scalars(const char* kind, const Metrics& metrics) {
    Json record{{"kind", kind}, {"step", metrics.step}};
    // NaN and Inf become null, because JSON does not have them.
    for_each_scalar(metrics, [&](const char* key, const char*, auto value) { record[key] = value; });
    return record;
}

}  // namespace

std::unique_ptr<AppendFile> prepare_jsonl(const path& file, std::int64_t resumed_step) {
    try {
        auto fresh = AppendFile::temporary_for(file);
        if (resumed_step > 0)
            rewind(file, resumed_step, *fresh);
        else if (std::filesystem::exists(file))
            set_aside(file);
        fresh->move_to(file);
        return fresh;
    } catch (const std::filesystem::filesystem_error& error) {
        fail(ExitCode::environment, "{}: {}", file.string(), error.what());
    }
}

JsonlSink::JsonlSink(const path& file, std::int64_t resumed_step) : file_(prepare_jsonl(file, resumed_step)) {}

void JsonlSink::write(const StepMetrics& metrics) { file_->append(line_of(scalars("step", metrics))); }

void JsonlSink::write(const EvalMetrics& metrics) { file_->append(line_of(scalars("eval", metrics))); }

void JsonlSink::write(const TaskMetrics& metrics) {
    Json record{{"kind", "task"}, {"step", metrics.step}, {"task", metrics.task}};
    for_each_scalar(metrics, [&](const char* key, auto value) { record[key] = value; });
    file_->append(line_of(record));
}

void JsonlSink::write(const GpasMetrics& metrics) {
    Json record{{"kind", "gpas"}, {"step", metrics.step}, {"gates", Json::array()}, {"variances", Json::array()}};
    for (const GateReading& gate : metrics.gates)
        record["gates"].push_back(
            {{"layer", gate.layer}, {"site", gate.site}, {"raw", gate.raw}, {"value", gate.value}});
    for (const VarianceReading& reading : metrics.variances)
        record["variances"].push_back(
            {{"layer", reading.layer}, {"site", reading.site}, {"variance", reading.variance}});
    file_->append(line_of(record));
}

void JsonlSink::write(const EventMetrics& metrics) {
    file_->append(line_of(Json{{"kind", "event"},
                               {"step", metrics.step},
                               {"time", seconds_since_1970()},
                               {"event", metrics.event},
                               {"action", metrics.action},
                               {"rank", metrics.rank},
                               {"text", metrics.text}}));
}

}  // namespace gpas
