#include "io/metrics/run_records.hpp"

#include <nlohmann/json.hpp>

#include <charconv>

namespace gpas {
namespace {

// Gives the members of a JSON object by name. Any other JSON value has no members.
class Object {
public:
    explicit Object(const nlohmann::json& json) : json_(json) {}

    double number(const char* key) const {
        const nlohmann::json* found = find(key);
        return found && found->is_number() ? found->get<double>() : unknown_number;
    }
    std::int64_t whole(const char* key) const {
        const nlohmann::json* found = find(key);
        return found && found->is_number_integer() ? found->get<std::int64_t>() : -1;
    }
    // The id of a job may be a string or a number.
    std::string text(const char* key) const {
        const nlohmann::json* found = find(key);
        if (found && found->is_string()) return found->get<std::string>();
        return found && found->is_number_integer() ? found->dump() : "";
    }
    bool flag(const char* key) const {
        const nlohmann::json* found = find(key);
        return found && found->is_boolean() && found->get<bool>();
    }
    const nlohmann::json& member(const char* key) const {
        static const nlohmann::json nothing;
        const nlohmann::json* found = find(key);
        return found ? *found : nothing;
    }

private:
    const nlohmann::json* find(const char* key) const {
        if (!json_.is_object()) return nullptr;
        const auto found = json_.find(key);
        return found == json_.end() ? nullptr : &*found;
    }

    const nlohmann::json& json_;
};

nlohmann::json parsed(std::string_view text) { return nlohmann::json::parse(text.begin(), text.end(), nullptr, false); }

RankView rank_view(const nlohmann::json& json) {
    const Object o(json), seconds(o.member("seconds"));
    return {.rank = o.whole("rank"),
            .stage = o.whole("stage"),
            .host = o.text("host"),
            .pid = o.whole("pid"),
            .phase = o.text("phase"),
            .step = o.whole("step"),
            .micro_batch = o.whole("micro_batch"),
            .call = o.text("call"),
            .seconds_in_phase = o.number("seconds_in_phase"),
            .silent_seconds = o.number("silent_seconds"),
            .seconds = {.data = seconds.number("data"),
                        .compute = seconds.number("compute"),
                        .communication = seconds.number("communication"),
                        .optimizer = seconds.number("optimizer")}};
}

StepView step_view(const Object& o) {
    return {.step = o.whole("step"),
            .loss_tokens = o.whole("loss_tokens"),
            .loss = o.number("loss"),
            .learning_rate = o.number("learning_rate"),
            .gradient_norm = o.number("gradient_norm"),
            .gate_gradient_norm = o.number("gate_gradient_norm"),
            .tokens_per_second = o.number("tokens_per_second"),
            .mfu = o.number("mfu_megatron"),
            .consumed_tokens = o.number("consumed_tokens"),
            .seconds_data = o.number("seconds_data"),
            .seconds_compute = o.number("seconds_compute"),
            .seconds_communication = o.number("seconds_communication"),
            .seconds_optimizer = o.number("seconds_optimizer"),
            .seconds_evaluation = o.number("seconds_evaluation"),
            .seconds_checkpoint = o.number("seconds_checkpoint"),
            .seconds_left = o.number("seconds_left"),
            .arena_bytes = o.number("arena_bytes"),
            .resident_bytes = o.number("resident_bytes"),
            .clipped = o.flag("clipped"),
            .skipped = o.flag("skipped")};
}

EvalView eval_view(const Object& o) {
    return {.step = o.whole("step"), .loss = o.number("loss"), .tokens = o.whole("tokens")};
}

std::vector<GateView> gate_views(const Object& record) {
    std::vector<GateView> gates;
    for (const nlohmann::json& gate : record.member("gates")) {
        const Object o(gate);
        gates.push_back({.layer = o.whole("layer"), .site = o.text("site"), .value = o.number("value")});
    }
    return gates;
}

GpasView gpas_view(const Object& record) {
    GpasView view{.step = record.whole("step"), .gates = gate_views(record), .variances = {}};
    for (const nlohmann::json& reading : record.member("variances")) {
        const Object o(reading);
        view.variances.push_back({.layer = o.whole("layer"), .site = o.text("site"), .value = o.number("variance")});
    }
    return view;
}

EventView event_view(const Object& o) {
    return {.step = o.whole("step"),
            .time = o.number("time"),
            .event = o.text("event"),
            .action = o.text("action"),
            .rank = o.whole("rank"),
            .text = o.text("text")};
}

RecordKind kind_of(const Object& record) {
    const std::string kind = record.text("kind");
    if (kind == "step") return RecordKind::step;
    if (kind == "eval") return RecordKind::evaluation;
    if (kind == "gpas") return RecordKind::gates;
    return kind == "event" ? RecordKind::event : RecordKind::other;
}

constexpr std::string_view step_start = R"({"kind":"step","step":)";

}  // namespace

std::optional<LossPoint> scan_step(std::string_view line) {
    if (!line.starts_with(step_start) || !line.ends_with('}')) return std::nullopt;
    LossPoint point;
    const char* end = line.data() + line.size();
    const auto step = std::from_chars(line.data() + step_start.size(), end, point.step);
    if (step.ec != std::errc()) return std::nullopt;
    constexpr std::string_view key = R"("loss":)";
    const std::size_t found = line.find(key, std::size_t(step.ptr - line.data()));
    if (found == std::string_view::npos) return std::nullopt;
    double loss = 0.0;
    if (std::from_chars(line.data() + found + key.size(), end, loss).ec == std::errc()) point.loss = loss;
    return point;
}

RecordKind record_kind(std::string_view line) {
    const nlohmann::json record = parsed(line);
    return kind_of(Object(record));
}

StepView parse_step(std::string_view line) {
    const nlohmann::json record = parsed(line);
    return step_view(Object(record));
}

EvalView parse_evaluation(std::string_view line) {
    const nlohmann::json record = parsed(line);
    return eval_view(Object(record));
}

std::vector<GateView> parse_gates(std::string_view line) {
    const nlohmann::json record = parsed(line);
    return gate_views(Object(record));
}

EventView parse_event(std::string_view line) {
    const nlohmann::json record = parsed(line);
    return event_view(Object(record));
}

std::optional<AnyRecord> parse_record(std::string_view line) {
    const nlohmann::json record = parsed(line);
    const Object o(record);
    if (!o.member("kind").is_string() || o.whole("step") < 0) return std::nullopt;
    switch (kind_of(o)) {
        case RecordKind::step: return step_view(o);
        case RecordKind::evaluation: return eval_view(o);
        case RecordKind::gates: return gpas_view(o);
        case RecordKind::event: return event_view(o);
        case RecordKind::other: break;
    }
    return AnyRecord();
}

std::optional<LiveView> parse_live(std::string_view text) {
    const nlohmann::json record = parsed(text);
    if (!record.is_object()) return std::nullopt;
    const Object o(record);
    LiveView live{.time = o.number("time"),
                  .started = o.number("started"),
                  .state = o.text("state"),
                  .job = o.text("job"),
                  .restart = o.whole("restart"),
                  .host = o.text("host"),
                  .name = o.text("name"),
                  .step = o.whole("step"),
                  .steps_total = o.whole("steps_total"),
                  .exit_code = o.whole("exit_code"),
                  .ranks = {}};
    for (const nlohmann::json& rank : o.member("ranks")) live.ranks.push_back(rank_view(rank));
    return live;
}

}  // namespace gpas
