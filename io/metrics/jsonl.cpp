#include "io/metrics/jsonl.hpp"

#include "io/metrics/fields.hpp"
#include "kernels/error.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <fstream>

namespace gpas {
namespace {

using Json = nlohmann::ordered_json;
using std::filesystem::path;

// Records carry "step"; what does not parse, or has none, is a torn or foreign line.
bool belongs(const std::string& line, std::int64_t last_step) {
    const Json record = Json::parse(line, nullptr, false);
    if (!record.is_object()) return false;
    const auto step = record.find("step");
    return step != record.end() && step->is_number_integer() && step->get<std::int64_t>() <= last_step;
}

void set_aside(const path& file) {
    for (int n = 1;; ++n) {
        path old = file;
        old.replace_extension(fmt::format(".{}.jsonl", n));
        if (std::filesystem::exists(old)) continue;
        std::filesystem::rename(file, old);
        return;
    }
}

void drop_later_records(const path& file, std::int64_t last_step) {
    path temporary = file;
    temporary += ".tmp";
    std::filesystem::remove(temporary);
    std::ifstream in(file);
    bool dropped = false;
    {
        AppendFile out(temporary);
        for (std::string line; std::getline(in, line);) {
            const bool whole = !in.eof();  // else it ends without a newline
            if (whole && belongs(line, last_step))
                out.append(line + "\n");
            else
                dropped = true;
        }
        if (dropped) out.sync();
    }
    if (dropped)
        std::filesystem::rename(temporary, file);
    else
        std::filesystem::remove(temporary);
}

path prepared(const path& file, std::int64_t resumed_step) {
    prepare_jsonl(file, resumed_step);
    return file;
}

std::string line_of(const Json& record) { return record.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

template <class Metrics>
Json scalars(const char* kind, const Metrics& metrics) {
    Json record{{"kind", kind}, {"step", metrics.step}};
    // NaN and Inf become null: JSON has neither.
    for_each_scalar(metrics, [&](const char* key, const char*, auto value) { record[key] = value; });
    return record;
}

}  // namespace

void prepare_jsonl(const path& file, std::int64_t resumed_step) {
    try {
        if (!std::filesystem::exists(file)) return;
        if (resumed_step == 0)
            set_aside(file);
        else
            drop_later_records(file, resumed_step);
    } catch (const std::filesystem::filesystem_error& error) {
        fail(ExitCode::environment, "{}: {}", file.string(), error.what());
    }
}

JsonlSink::JsonlSink(const path& file, std::int64_t resumed_step) : file_(prepared(file, resumed_step)) {}

void JsonlSink::write(const StepMetrics& metrics) { file_.append(line_of(scalars("step", metrics))); }

void JsonlSink::write(const EvalMetrics& metrics) { file_.append(line_of(scalars("eval", metrics))); }

void JsonlSink::write(const GpasMetrics& metrics) {
    Json record{{"kind", "gpas"}, {"step", metrics.step}, {"gates", Json::array()}, {"variances", Json::array()}};
    for (const GateReading& gate : metrics.gates)
        record["gates"].push_back(
            {{"layer", gate.layer}, {"site", gate.site}, {"raw", gate.raw}, {"value", gate.value}});
    for (const VarianceReading& reading : metrics.variances)
        record["variances"].push_back(
            {{"layer", reading.layer}, {"site", reading.site}, {"variance", reading.variance}});
    file_.append(line_of(record));
}

void JsonlSink::write(const EventMetrics& metrics) {
    const double time = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    file_.append(line_of(Json{{"kind", "event"},
                              {"step", metrics.step},
                              {"time", time},
                              {"event", metrics.event},
                              {"action", metrics.action},
                              {"rank", metrics.rank},
                              {"text", metrics.text}}));
}

}  // namespace gpas
