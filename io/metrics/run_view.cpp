#include "io/metrics/run_view.hpp"

#include "base/error.hpp"
#include "io/checkpoint/checkpoint.hpp"
#include "io/config/document.hpp"
#include "io/metrics/run_records.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace gpas {
namespace {

using std::filesystem::path;

constexpr std::size_t most_recent = 50;  // steps over which means are computed
constexpr std::size_t most_events = 50;

struct FileFacts {
    double time = unknown_number;  // of the last change
    double bytes = 0.0;
};

FileFacts facts_of(const path& file) {
    struct stat found = {};
    if (stat(file.c_str(), &found) != 0) return {};
    return {double(found.st_mtim.tv_sec) + 1e-9 * double(found.st_mtim.tv_nsec), double(found.st_size)};
}

std::string beginning_of(const path& file, std::size_t bytes) {
    std::ifstream in(file, std::ios::binary);
    std::string text(bytes, '\0');
    in.read(text.data(), std::streamsize(bytes));
    text.resize(std::size_t(in.gcount()));
    return text;
}

// Visits no files if the directory does not exist or cannot be read.
template <class Visit>
void for_each_file(const path& directory, Visit&& visit) {
    std::error_code error;
    for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error))
        visit(entry->path());
}

const ConfigNode* member(const ConfigNode* node, const char* key) {
    if (node == nullptr) return nullptr;
    const auto found = std::ranges::find(node->entries, key, &ConfigEntry::key);
    return found == node->entries.end() ? nullptr : &found->value;
}

std::string text_of(const ConfigNode* node) { return node ? node->text : ""; }

double number_of(const ConfigNode* node) {
    const std::string text = text_of(node);
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    return end == text.c_str() ? unknown_number : value;
}

// The age of a file's content. `seen`: when this reader saw the file change, by its own clock; unknown if it did not
// see a change. `written`: time of the change by the writer's clock, used only if `seen` is unknown, because the clocks
// of two machines may differ by more than the age.
double age(double now, double seen, double written) { return std::max(0.0, now - (std::isnan(seen) ? written : seen)); }

}  // namespace

std::int64_t RunView::step() const {
    const std::int64_t recorded = recent.empty() ? -1 : recent.back().step;
    return live ? std::max(live->step, recorded) : recorded;
}

std::int64_t RunView::total() const { return live && live->steps_total > 0 ? live->steps_total : steps_total; }

double RunView::seconds_per_step() const {
    double sum = 0.0;
    std::int64_t steps = 0;
    for (std::size_t i = 1; i < recent.size(); ++i) {
        const StepView& r = recent[i];
        const std::int64_t between = r.step - recent[i - 1].step;
        const double training = r.seconds_data + r.seconds_compute + r.seconds_communication + r.seconds_optimizer;
        const double seconds = double(between) * training + r.seconds_evaluation + r.seconds_checkpoint;
        if (between <= 0 || !std::isfinite(seconds)) continue;
        sum += seconds;
        steps += between;
    }
    return steps > 0 ? sum / double(steps) : unknown_number;
}

bool is_run_directory(const path& directory) {
    std::error_code ignored;
    return std::ranges::any_of(
        std::initializer_list<const char*>{"config.yaml", "metrics.jsonl", "live.json"},
        [&](const char* name) { return std::filesystem::is_regular_file(directory / name, ignored); });
}

RunReader::RunReader(path directory) : metrics_(directory / "metrics.jsonl") {
    if (!std::filesystem::is_directory(directory))
        fail(ExitCode::bad_file,
             "{}: no such directory; expected the directory of a run that has started (`directory` in its "
             "configuration)",
             directory.string());
    if (!is_run_directory(directory))
        fail(ExitCode::bad_file,
             "{}: no run in this directory; expected config.yaml, metrics.jsonl or live.json, which a run writes when "
             "it starts; give the value of `directory` in the run's configuration",
             directory.string());
    view_.directory = std::move(directory);
}

const RunView& RunReader::read(double now) {
    read_config();
    read_live(now);
    read_metrics(now);
    read_checkpoints();
    read_failures();
    return view_;
}

// Reads keys by name, without the schema, because another version with other keys may have written the file.
void RunReader::read_config() {
    const path file = view_.directory / "config.yaml";
    const double changed = facts_of(file).time;
    if (std::isnan(changed) || changed == config_time_) return;
    try {
        const ConfigNode document = parse_document(read_config_file(file.string()), file.string());
        const ConfigNode* watch = member(&document, "watch");
        const double steps = number_of(member(member(&document, "training"), "steps"));
        view_.name = text_of(member(&document, "name"));
        view_.architecture = text_of(member(member(&document, "model"), "architecture"));
        view_.steps_total = steps > 0 && steps < 1e15 ? std::int64_t(steps) : -1;
        view_.silent_limit = number_of(member(watch, "silent_seconds"));
        view_.straggler_factor = number_of(member(watch, "straggler_factor"));
        config_time_ = changed;
    } catch (const Error&) {  // the file may be incomplete; the next call reads it again
    }
}

void RunReader::read_live(double now) {
    const path file = view_.directory / "live.json";
    const FileFacts facts = facts_of(file);
    if (std::isnan(facts.time)) return;
    constexpr double most_bytes = 256e6;
    std::string text = beginning_of(file, std::size_t(std::min(facts.bytes, most_bytes)) + 1);
    if (text != live_text_) {
        // A text that does not parse was read during a write; the previous state is kept.
        if (auto live = parse_live(text)) {
            if (view_.live) live_changed_ = now;
            view_.live = std::move(live);
            live_text_ = std::move(text);
        }
    }
    if (view_.live) view_.news_age = age(now, live_changed_, std::fmax(facts.time, view_.live->time));
}

void RunReader::read_metrics(double now) {
    const auto restart = [&] {
        view_.losses.clear();
        view_.evaluation.reset();
        view_.best_evaluation.reset();
        view_.events.clear();
        recent_count_ = 0;
        gates_line_.clear();
    };
    recent_lines_.resize(most_recent);
    view_.has_metrics = metrics_.read(restart, [&](std::string_view line) { take_record(line); });
    if (!view_.has_metrics) return;
    if (metrics_.position() != metrics_position_) {
        if (metrics_position_ >= 0) metrics_changed_ = now;
        metrics_position_ = metrics_.position();
        view_.gates = parse_gates(gates_line_);
        view_.recent.clear();
        for (std::size_t i = recent_count_ - std::min(recent_count_, most_recent); i < recent_count_; ++i)
            view_.recent.push_back(parse_step(recent_lines_[i % most_recent]));
    }
    view_.record_age = age(now, metrics_changed_, facts_of(view_.directory / "metrics.jsonl").time);
}

void RunReader::take_record(std::string_view line) {
    const auto take_step = [&](std::optional<LossPoint> point) {
        if (point) view_.losses.push_back(*point);
        recent_lines_[recent_count_++ % most_recent] = line;  // kept as text, because only the last lines are parsed
    };
    if (const auto point = scan_step(line)) return take_step(point);
    if (line.starts_with(R"({"kind":"gpas")")) {
        gates_line_ = line;
        return;
    }
    switch (record_kind(line)) {
        case RecordKind::step: {
            const StepView step = parse_step(line);
            return take_step(step.loss_tokens == 0 ? std::nullopt : std::optional(LossPoint{step.step, step.loss}));
        }
        case RecordKind::evaluation:
            view_.evaluation = parse_evaluation(line);
            if (!view_.best_evaluation || std::isnan(view_.best_evaluation->loss) ||
                view_.evaluation->loss < view_.best_evaluation->loss)
                view_.best_evaluation = view_.evaluation;
            return;
        case RecordKind::gates: gates_line_ = line; return;
        case RecordKind::event:
            view_.events.push_back(parse_event(line));
            if (view_.events.size() > most_events) view_.events.erase(view_.events.begin());
            return;
        case RecordKind::other: return;
    }
}

void RunReader::read_checkpoints() {
    CheckpointView found;
    std::int64_t newest = -1;
    for_each_file(view_.directory / "checkpoints", [&](const path& file) {
        const auto step = checkpoint_step(file);
        if (!step) return;
        const FileFacts facts = facts_of(file);
        ++found.count;
        found.bytes += facts.bytes;
        if (*step <= newest) return;
        newest = *step;
        found.name = file.filename().string();
        found.time = facts.time;
    });
    view_.checkpoint = found.count > 0 ? std::optional(found) : std::nullopt;
}

// The newest report has the greatest name, because names begin with the time.
void RunReader::read_failures() {
    FailureView found;
    path newest;
    for_each_file(view_.directory / "failures", [&](const path& file) {
        if (file.extension() != ".txt") return;
        ++found.count;
        newest = std::max(newest, file);
    });
    if (found.count == 0) return view_.failure.reset();
    if (view_.failure && view_.failure->name == newest.filename() && view_.failure->count == found.count) return;
    found.name = newest.filename().string();
    found.time = facts_of(newest).time;
    const std::string text = beginning_of(newest, 4096);
    const std::size_t begin = std::min(text.find_first_not_of(" \t\r\n"), text.size());
    found.first_line = text.substr(begin, text.find('\n', begin) - begin);
    view_.failure = found;
}

}  // namespace gpas
